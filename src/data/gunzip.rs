//! What Python's `gzip` makes of a file: its members one after the other, and zeros behind any of
//! them, such as those that fill up a block of a tape or of a download.

use std::io::{BufRead, Error, ErrorKind, Read, Result};

use flate2::bufread::GzDecoder;

/// Decompresses while it is read. Anything else behind a member is an error: it is what is left of
/// a damaged one, or of something that does not belong there.
pub(super) struct Gunzip<R> {
    state: State<R>,
}

enum State<R> {
    Within(GzDecoder<R>),
    /// Behind a member.
    Behind(R),
    /// Only while it changes.
    Between,
}

impl<R: BufRead> Gunzip<R> {
    /// `reader` stands at the first member.
    pub(super) fn new(reader: R) -> Self {
        Self {
            state: State::Within(GzDecoder::new(reader)),
        }
    }
}

/// Leaves the zeros at the beginning of `reader` out; whether there is a member behind them.
fn has_more(reader: &mut impl BufRead) -> Result<bool> {
    loop {
        let bytes = reader.fill_buf()?;
        match bytes.iter().find(|b| **b != 0) {
            _ if bytes.is_empty() => return Ok(false),
            None => {
                let count = bytes.len();
                reader.consume(count);
            }
            Some(0x1f) => {
                let count = bytes.iter().take_while(|b| **b == 0).count();
                reader.consume(count);
                return Ok(true);
            }
            Some(_) => {
                let message = "behind its end stands what is neither zeros nor gzip";
                return Err(Error::new(ErrorKind::InvalidData, message));
            }
        }
    }
}

impl<R: BufRead> Read for Gunzip<R> {
    fn read(&mut self, out: &mut [u8]) -> Result<usize> {
        loop {
            match std::mem::replace(&mut self.state, State::Between) {
                State::Within(mut member) => {
                    let count = member.read(out);
                    let ended = matches!(count, Ok(0)) && !out.is_empty();
                    if ended {
                        self.state = State::Behind(member.into_inner());
                        continue;
                    }
                    self.state = State::Within(member);
                    return count;
                }
                State::Behind(mut rest) => {
                    let more = has_more(&mut rest);
                    if matches!(more, Ok(true)) {
                        self.state = State::Within(GzDecoder::new(rest));
                        continue;
                    }
                    self.state = State::Behind(rest);
                    return more.map(|_| 0);
                }
                State::Between => return Ok(0),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn member(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    /// Outcomes of `gzip.decompress` of Python 3 on the same bytes: the text, or `None` where it
    /// raises.
    #[test]
    fn ends_of_a_file_are_taken_as_python_takes_them() {
        let you = member(" you");
        let cases: [(&[u8], Option<&str>); 12] = [
            (b"", Some("hello")),
            (b"\0", Some("hello")),
            (&[0; 512], Some("hello")),
            (b"garbage\n", None),
            (b"\0\0\0\0\0x\n", None),
            (b"\x1fjunk", None),
            (b"\x1f", None),
            (b"\x1f\x8bjunk", None),
            (&you, Some("hello you")),
            (&[&[0; 512], &you[..]].concat(), Some("hello you")),
            (&[&you[..], &[0; 9]].concat(), Some("hello you")),
            (&[&you[..], &[0; 9], b"x"].concat(), None),
        ];
        for (end, want) in cases {
            let bytes = [member("hello"), end.to_vec()].concat();
            let mut text = String::new();
            // A few bytes at a time, so that what stands together is met apart.
            let reader = std::io::BufReader::with_capacity(7, &bytes[..]);
            let read = Gunzip::new(reader).read_to_string(&mut text);
            assert_eq!(read.ok().map(|_| text.as_str()), want, "{end:?}");
        }
    }
}
