//! What `gzip -d` makes of a file: its members one after the other, until something else comes.

use std::io::{BufRead, Read, Result};

use flate2::bufread::GzDecoder;

/// Decompresses while it is read.
///
/// What follows the last member and does not begin as another one, such as the zeros that fill up a
/// block of a tape or of a download, is left unread, as gzip does.
pub(super) struct Gunzip<R> {
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Gunzip<R> {
    /// `reader` stands at the first member.
    pub(super) fn new(reader: R) -> Self {
        Self {
            member: Some(GzDecoder::new(reader)),
        }
    }
}

impl<R: BufRead> Read for Gunzip<R> {
    fn read(&mut self, out: &mut [u8]) -> Result<usize> {
        while let Some(mut member) = self.member.take() {
            let count = member.read(out)?;
            if count > 0 || out.is_empty() {
                self.member = Some(member);
                return Ok(count);
            }
            let mut rest = member.into_inner();
            if matches!(rest.fill_buf()?, [0x1f] | [0x1f, 0x8b, ..]) {
                self.member = Some(GzDecoder::new(rest));
            }
        }
        Ok(0)
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

    /// Outcomes of `gzip -dc` 1.12 on the same bytes: the text, or `None` where it fails with exit
    /// code 1 (2 is its warning that it left something out).
    #[test]
    fn ends_of_a_file_are_taken_as_gzip_takes_them() {
        let cases: [(&[u8], Option<&str>); 8] = [
            (b"", Some("hello")),
            (&[0; 512], Some("hello")),
            (b"garbage\n", Some("hello")),
            (b"\0\0\0\0\0x\n", Some("hello")),
            (b"\x1fjunk", Some("hello")),
            (b"\x1f", None),
            (b"\x1f\x8bjunk", None),
            (&member(" you"), Some("hello you")),
        ];
        for (end, want) in cases {
            let bytes = [member("hello"), end.to_vec()].concat();
            let mut text = String::new();
            let read = Gunzip::new(&bytes[..]).read_to_string(&mut text);
            assert_eq!(read.ok().map(|_| text.as_str()), want, "{end:?}");
        }
    }
}
