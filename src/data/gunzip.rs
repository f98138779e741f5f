//! What Python's `gzip` makes of a file: its members one after the other, and zeros behind any of
//! them, such as those that fill up a block of a tape or of a download.

use std::io::{BufRead, Error, ErrorKind, Read, Result};

use flate2::bufread::DeflateDecoder;

use super::crc::Crc;

/// Decompresses while it is read. Anything else behind a member is an error: it is what is left of
/// a damaged one, or of something that does not belong there.
pub(super) struct Gunzip<R> {
    state: State<R>,
}

enum State<R> {
    /// Where one begins.
    Before(R),
    Within(Member<R>),
    /// Behind a member.
    Behind(R),
    /// Only while it changes.
    Between,
}

impl<R: BufRead> Gunzip<R> {
    /// `reader` stands at the first member.
    pub(super) fn new(reader: R) -> Self {
        Self {
            state: State::Before(reader),
        }
    }
}

/// Flags of a header: what stands in it besides.
mod flag {
    pub const CHECKSUM: u8 = 2;
    pub const EXTRA: u8 = 4;
    pub const NAME: u8 = 8;
    pub const COMMENT: u8 = 16;
    pub const RESERVED: u8 = 0xe0;
}

/// Bytes of a name or a comment, at most.
const LONGEST: u64 = 1 << 16;

fn invalid<T>(what: &str) -> Result<T> {
    Err(Error::new(ErrorKind::InvalidData, what))
}

/// The next bytes, which count for the header's checksum.
fn bytes<const N: usize>(reader: &mut impl Read, crc: &mut Crc) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes)?;
    *crc = crc.with(&bytes);
    Ok(bytes)
}

/// Leaves a header out (RFC 1952).
fn skip_header(reader: &mut impl BufRead) -> Result<()> {
    let mut crc = Crc::default();
    let [first, second, method, flags, ..] = bytes::<10>(reader, &mut crc)?;
    if [first, second, method] != [0x1f, 0x8b, 8] || flags & flag::RESERVED != 0 {
        return invalid("invalid gzip header");
    }
    if flags & flag::EXTRA != 0 {
        for _ in 0..u16::from_le_bytes(bytes(reader, &mut crc)?) {
            bytes::<1>(reader, &mut crc)?;
        }
    }
    for text in [flag::NAME, flag::COMMENT] {
        if flags & text == 0 {
            continue;
        }
        let mut read = Vec::new();
        reader.take(LONGEST).read_until(0, &mut read)?;
        if read.last() != Some(&0) {
            return invalid("a name in the gzip header does not end");
        }
        crc = crc.with(&read);
    }
    let sum = (crc.sum() as u16).to_le_bytes();
    if flags & flag::CHECKSUM != 0 && bytes(reader, &mut crc)? != sum {
        return invalid("the gzip header does not have the checksum that it names");
    }
    Ok(())
}

/// What a member holds, so far.
struct Member<R> {
    deflate: DeflateDecoder<R>,
    crc: Crc,
    length: u32,
}

impl<R: BufRead> Member<R> {
    fn new(mut reader: R) -> Result<Self> {
        skip_header(&mut reader)?;
        Ok(Self {
            deflate: DeflateDecoder::new(reader),
            crc: Crc::default(),
            length: 0,
        })
    }

    fn read(&mut self, out: &mut [u8]) -> Result<usize> {
        let count = self.deflate.read(out)?;
        self.crc = self.crc.with(&out[..count]);
        self.length = self.length.wrapping_add(count as u32);
        Ok(count)
    }

    /// What is behind it, once it has been read to its end.
    fn end(self) -> Result<R> {
        let mut reader = self.deflate.into_inner();
        let mut of_trailer = Crc::default();
        let sum = u32::from_le_bytes(bytes(&mut reader, &mut of_trailer)?);
        let length = u32::from_le_bytes(bytes(&mut reader, &mut of_trailer)?);
        if (sum, length) != (self.crc.sum(), self.length) {
            return invalid("corrupt gzip stream does not have a matching checksum");
        }
        Ok(reader)
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
                State::Before(reader) => self.state = State::Within(Member::new(reader)?),
                State::Within(mut member) => {
                    let count = member.read(out);
                    let ended = matches!(count, Ok(0)) && !out.is_empty();
                    if ended {
                        self.state = State::Behind(member.end()?);
                        continue;
                    }
                    self.state = State::Within(member);
                    return count;
                }
                State::Behind(mut rest) => {
                    let more = has_more(&mut rest);
                    if matches!(more, Ok(true)) {
                        self.state = State::Before(rest);
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

    /// A member whose header has these flags, and this behind its first ten bytes.
    fn with_header(flags: u8, fields: &[u8]) -> Vec<u8> {
        let mut bytes = member("hello");
        bytes[3] = flags;
        bytes.splice(10..10, fields.iter().copied());
        bytes
    }

    fn read(bytes: &[u8]) -> Result<String> {
        let mut text = String::new();
        let reader = std::io::BufReader::with_capacity(3, bytes);
        Gunzip::new(reader).read_to_string(&mut text).map(|_| text)
    }

    #[test]
    fn headers_with_all_that_may_stand_in_one() {
        let extra = [&[5, 0][..], b"extra"].concat();
        let all = [&extra[..], b"name\0comment\0"].concat();
        let mut summed = with_header(0x1e, &all);
        let sum = Crc::default().with(&summed[..10 + all.len()]).sum() as u16;
        summed.splice(10 + all.len()..10 + all.len(), sum.to_le_bytes());
        for bytes in [
            with_header(0, b""),
            with_header(1, b""),
            with_header(4, &extra),
            with_header(8, b"\0"),
            with_header(0x1c, &all),
            summed.clone(),
        ] {
            assert_eq!(read(&bytes).unwrap(), "hello");
            for end in 0..bytes.len() {
                assert!(read(&bytes[..end]).is_err(), "{end} of {bytes:?}");
            }
        }
        summed[12] ^= 1;
        assert!(read(&summed).unwrap_err().to_string().contains("checksum"));
        let endless = with_header(8, &[b'a'; 70_000]);
        assert!(read(&endless).unwrap_err().to_string().contains("name"));
        for broken in [with_header(0x20, b""), member("hello")[1..].to_vec()] {
            assert!(read(&broken).unwrap_err().to_string().contains("header"));
        }
    }

    #[test]
    fn what_was_damaged_is_seen() {
        let good = member("hello");
        for at in 1..=8 {
            let mut bytes = good.clone();
            let place = bytes.len() - at;
            bytes[place] ^= 4;
            assert!(read(&bytes).unwrap_err().to_string().contains("corrupt"));
        }
    }
}
