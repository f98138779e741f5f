//! Codes from NumPy's `.npy` files, versions 1 to 3 of the format.
//!
//! Source: NEP 1 and `numpy.lib.format`. The header is read here and not by a crate, because a
//! Python literal can nest and a shape can overflow: neither may end the program. It is written here
//! too, since the crates for it bring a parser of Python along, and with it a C compiler.

use std::path::Path;

use super::Codes;
use super::file;
use crate::error::{Error, Result};

/// The longest file that is read, in bytes.
const LARGEST: u64 = 1 << 30;
/// The longest header; NumPy's own limit.
const HEADER: usize = 10_000;

/// The codes `[B, H, W]`, or `[B, H, W, D]` of D code maps, of a file of int32 or int64, of either byte order.
///
/// # Errors
/// [`Error::File`] names the file and what is wrong with it.
pub fn read(path: &Path) -> Result<Codes> {
    parse(path, &file::read(path, LARGEST)?)
}

/// Codes from the bytes of a file; `path` is for errors.
///
/// # Errors
/// [`Error::File`], see [`read`].
pub fn parse(path: &Path, bytes: &[u8]) -> Result<Codes> {
    codes(bytes).map_err(|message| Error::file(path, message))
}

fn codes(bytes: &[u8]) -> Result<Codes, String> {
    let (text, data) = split(bytes).ok_or("is no .npy file; `semivq encode` writes one")?;
    let header = Header::parse(text).ok_or_else(|| {
        let shown: String = text
            .chars()
            .take(60)
            .flat_map(char::escape_default)
            .collect();
        format!("has a header that cannot be read (`{shown}`); save it again with numpy.save")
    })?;
    let Header {
        descr,
        fortran,
        shape,
    } = header;
    let (width, big) = match descr.as_str() {
        "<i4" => (4, false),
        ">i4" => (4, true),
        "<i8" => (8, false),
        ">i8" => (8, true),
        _ => {
            return Err(format!(
                "holds numbers of type {descr}, expected int32 or int64 (numpy: codes.astype(\"int32\"))"
            ));
        }
    };
    if ![3, 4].contains(&shape.len()) || shape.contains(&0) {
        return Err(format!(
            "holds {shape:?}, expected codes [B, H, W], or [B, H, W, D] of residual quantisation"
        ));
    }
    if fortran {
        return Err("is in Fortran order; save np.ascontiguousarray of it".into());
    }
    let sizes: Option<Vec<usize>> = shape.iter().map(|n| usize::try_from(*n).ok()).collect();
    let size = sizes.and_then(|sizes| {
        let count = sizes.iter().try_fold(1_usize, |n, s| n.checked_mul(*s))?;
        Some((sizes, count.checked_mul(width)?))
    });
    let Some((shape, size)) = size.filter(|(_, size)| *size <= data.len()) else {
        return Err(format!(
            "is cut short or damaged: its header says {shape:?}, numbers of {width} bytes, but it holds {} bytes",
            data.len()
        ));
    };
    let values = data[..size].chunks_exact(width).map(|number| {
        let fold = |value: i64, byte: &u8| (value << 8) | i64::from(*byte);
        let value = if big {
            number.iter().fold(0, fold)
        } else {
            number.iter().rev().fold(0, fold)
        };
        // The sign of an int32 stands in its own highest bit.
        let value = if width == 4 {
            i64::from(value as i32)
        } else {
            value
        };
        if value < 0 {
            return Err(format!("holds {value}, codes count from 0"));
        }
        i32::try_from(value).map_err(|_| format!("holds {value}, a code that does not exist"))
    });
    Ok(Codes {
        shape,
        values: values.collect::<Result<_, String>>()?,
    })
}

/// `codes` as a file of int32, the bytes that `numpy.save` writes.
#[must_use]
pub fn to_bytes(codes: &Codes) -> Vec<u8> {
    let sizes: Vec<String> = codes.shape.iter().map(usize::to_string).collect();
    let text = format!(
        "{{'descr': '<i4', 'fortran_order': False, 'shape': ({}), }}",
        sizes.join(", ")
    );
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    // The numbers begin at a multiple of 64 bytes, after a line break.
    let header = (bytes.len() + 2 + text.len() + 1).next_multiple_of(64) - bytes.len() - 2;
    bytes.extend((header as u16).to_le_bytes());
    bytes.extend(format!("{text:<width$}\n", width = header - 1).bytes());
    bytes.extend(codes.values.iter().flat_map(|code| code.to_le_bytes()));
    bytes
}

/// The header's text, and the numbers.
fn split(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let rest = bytes.strip_prefix(b"\x93NUMPY")?;
    let (version, rest) = rest.split_first_chunk::<2>()?;
    let (length, rest) = match version[0] {
        1 => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_le_bytes(*length)), rest)
        }
        2 | 3 => {
            let (length, rest) = rest.split_first_chunk()?;
            (u32::from_le_bytes(*length) as usize, rest)
        }
        _ => return None,
    };
    let (text, data) = rest.split_at_checked(length.min(HEADER + 1))?;
    (length <= HEADER).then_some(())?;
    Some((std::str::from_utf8(text).ok()?, data))
}

/// `{'descr': '<i4', 'fortran_order': False, 'shape': (2, 3, 4), }`
struct Header {
    descr: String,
    fortran: bool,
    shape: Vec<u64>,
}

impl Header {
    /// `None` when a key is missing or unknown, or a value is none of its kind.
    fn parse(text: &str) -> Option<Self> {
        let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        while !rest.is_empty() {
            let (key, after) = quoted(rest)?;
            let after = after.trim_start().strip_prefix(':')?.trim_start();
            rest = match key {
                "descr" if after.starts_with('[') => {
                    // Fields of a record: no codes, whatever they are.
                    descr = Some("record".to_owned());
                    after.get(after.rfind(']')? + 1..)?
                }
                "descr" => {
                    let (value, after) = quoted(after)?;
                    descr = Some(value.escape_default().to_string());
                    after
                }
                "fortran_order" => {
                    let word = ["True", "False"].into_iter();
                    let word = word.into_iter().find(|word| after.starts_with(word))?;
                    fortran = Some(word == "True");
                    &after[word.len()..]
                }
                "shape" => {
                    let (inside, after) = after.strip_prefix('(')?.split_once(')')?;
                    let inside = inside.trim();
                    let inside = inside.strip_suffix(',').unwrap_or(inside);
                    let sizes = inside.split(',').filter(|_| !inside.is_empty());
                    // Python 2 wrote 3L.
                    let size = |s: &str| s.trim().trim_end_matches('L').parse().ok();
                    shape = Some(sizes.map(size).collect::<Option<Vec<u64>>>()?);
                    after
                }
                _ => return None,
            };
            rest = rest.trim_start();
            rest = match rest.strip_prefix(',') {
                Some(rest) => rest.trim_start(),
                None if rest.is_empty() => rest,
                None => return None,
            };
        }
        Some(Self {
            descr: descr?,
            fortran: fortran?,
            shape: shape?,
        })
    }
}

/// A string of Python's at the beginning of `text`, and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| ['\'', '"'].contains(c))?;
    text[1..].split_once(quote)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(name: &str) -> Vec<u8> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/npy");
        std::fs::read(folder.join(name).with_extension("npy")).unwrap()
    }

    fn refused(bytes: &[u8]) -> String {
        let error = parse(Path::new("x.npy"), bytes).unwrap_err().to_string();
        assert!(error.starts_with("x.npy: "), "{error}");
        assert!(!error.contains('\n'), "{error}");
        error
    }

    /// Files of NumPy 2.4 (`tests/cases/npy/generate.py`); the values by its formula there.
    #[test]
    fn numpys_files_are_read_and_written() {
        let values: Vec<i32> = (0..24).map(|i| i * 37 % 101).collect();
        for name in [
            "int32",
            "int64",
            "int32_big",
            "int64_big",
            "version2",
            "version3",
        ] {
            let codes = parse(Path::new(name), &case(name)).unwrap();
            assert_eq!(
                (&codes.shape[..], &codes.values),
                (&[2, 3, 4][..], &values),
                "{name}"
            );
            assert_eq!(to_bytes(&codes), case("int32"), "{name}");
        }
        for (name, want) in [
            ("negative", "holds -37, codes count from 0"),
            ("huge", "holds 40681930227712, a code that does not exist"),
            ("float32", "type <f4, expected int32 or int64"),
            ("uint16", "type <u2, expected int32 or int64"),
            ("record", "type record, expected int32 or int64"),
            ("fortran", "np.ascontiguousarray"),
            ("flat", "holds [24], expected codes [B, H, W]"),
            ("scalar", "holds [], expected codes [B, H, W]"),
            ("empty", "holds [0, 3, 4], expected codes [B, H, W]"),
        ] {
            let error = refused(&case(name));
            assert!(error.contains(want), "{error:?} does not say {want:?}");
        }
    }

    #[test]
    fn damage_is_one_line() {
        let whole = case("int32");
        for length in 0..128 {
            refused(&whole[..length]);
        }
        let with = |header: &str| {
            let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
            bytes.extend((header.len() as u16).to_le_bytes());
            bytes.extend(header.as_bytes());
            bytes.extend([0; 64]);
            bytes
        };
        let shape = |shape: &str| {
            with(&format!(
                "{{'descr': '<i4', 'fortran_order': False, 'shape': {shape}, }}"
            ))
        };
        assert_eq!(
            parse(Path::new("x"), &shape("(1, 2, 3)")).unwrap().values,
            [0; 6]
        );
        for (bytes, want) in [
            (whole[..whole.len() - 5].to_vec(), "cut short or damaged"),
            (shape("(4294967296, 4294967296, 1)"), "cut short or damaged"),
            (
                shape("(1, 1, 99999999999999999999)"),
                "header that cannot be read",
            ),
            (shape("(1, -1, 1)"), "header that cannot be read"),
            (shape(&"(".repeat(5000)), "header that cannot be read"),
            (with(&"[".repeat(9000)), "header that cannot be read"),
            (with("{'descr': '<i4\n'}"), "header that cannot be read"),
            (
                with("\u{1b}[2J"),
                "header that cannot be read (`\\u{1b}[2J`)",
            ),
            (with("x"), "header that cannot be read"),
            (b"\x93NUMPY\x09\x00".to_vec(), "is no .npy file"),
            (b"{}".to_vec(), "is no .npy file"),
        ] {
            let error = refused(&bytes);
            assert!(error.contains(want), "{error:?} does not say {want:?}");
        }
    }
}
