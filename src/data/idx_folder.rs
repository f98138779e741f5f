//! A folder of IDX files, whatever its publisher calls them.
//!
//! MNIST, Fashion-MNIST and KMNIST: `train-images-idx3-ubyte`, `t10k-images-idx3-ubyte`; the same with
//! a dot before `idx3`, as archives of them are unpacked; EMNIST: `emnist-letters-train-images-idx3-ubyte`
//! and `..-test-..`; QMNIST: `qmnist-train-..`. Plain or `.gz`, and labels beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{About, Dataset, Files, Images, Reading, Source, idx};
use crate::error::{Error, Result};

/// Names that an error lists at most.
const LISTED: usize = 12;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Images,
    Labels,
}

/// What a file's name says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    /// What stands before the part: empty for MNIST, `emnist-letters`.
    set: String,
    /// `train`, or `t10k` or `test`.
    part: String,
    kind: Kind,
}

impl Name {
    /// `None` when the file is not called like an IDX file of bytes.
    fn parse(file: &str) -> Option<Self> {
        let name = file.to_ascii_lowercase().replace(['.', '_'], "-");
        let name = name.strip_suffix("-gz").unwrap_or(&name);
        let (rest, kind) = match name.strip_suffix("-images-idx3-ubyte") {
            Some(rest) => (rest, Kind::Images),
            None => (name.strip_suffix("-labels-idx1-ubyte")?, Kind::Labels),
        };
        let (set, part) = rest.rsplit_once('-').unwrap_or(("", rest));
        ["train", "t10k", "test"].contains(&part).then(|| Self {
            set: set.to_owned(),
            part: part.to_owned(),
            kind,
        })
    }

    fn is_train(&self) -> bool {
        self.part == "train"
    }
}

/// Reads the train and the test images of a folder, and their labels where there are some.
///
/// # Errors
/// [`Error::File`] names the file, what is wrong with it, and what was expected; where none or
/// several fit, what the folder holds.
pub fn read_folder(folder: &Path) -> Result<Dataset> {
    read_folder_by(folder, Reading::Auto)
}

/// As [`read_folder`], with images in memory or in their files as `reading` says.
pub(super) fn read_folder_by(folder: &Path, reading: Reading) -> Result<Dataset> {
    if !folder.is_dir() {
        return Err(Error::file(
            folder,
            "is no folder; `data` wants one that holds train-images-idx3-ubyte and t10k-images-idx3-ubyte \
             (plain or .gz), CIFAR's .bin files, or images",
        ));
    }
    let content = Content::of(folder)?;
    let set = content.only_set()?;
    let dataset = Dataset {
        name: folder.display().to_string(),
        train: content.part(&set, true, reading)?,
        test: content.part(&set, false, reading)?,
        about: About::default(),
    };
    dataset.validate()?;
    Ok(dataset)
}

/// Whether a file in `folder` is called like one of images.
pub(super) fn holds_images(folder: &Path) -> bool {
    let content = Content::of(folder);
    content.is_ok_and(|content| content.idx.keys().any(|name| name.kind == Kind::Images))
}

/// What to say of a folder without a file of any known kind, and what it holds; `None` when one is called like an IDX
/// file.
#[cfg(feature = "pictures")]
pub(super) fn holds_nothing(folder: &Path) -> Result<Option<Error>> {
    let content = Content::of(folder)?;
    if !content.idx.is_empty() {
        return Ok(None);
    }
    let message = format!(
        "no images were found in it; it holds {}, `data` wants PNG, JPEG, WebP or BMP files in it or in folders below, \
         IDX files named as those of MNIST, EMNIST or QMNIST, or CIFAR's .bin files",
        Content::listed(content.all.iter().map(String::as_str))
    );
    Ok(Some(Error::file(folder, message)))
}

/// What a folder holds.
struct Content<'a> {
    folder: &'a Path,
    /// Files of each name, the one to take first.
    idx: BTreeMap<Name, Vec<PathBuf>>,
    /// Everything, for errors.
    all: BTreeSet<String>,
}

impl<'a> Content<'a> {
    fn of(folder: &'a Path) -> Result<Self> {
        let failed = |e: std::io::Error| Error::file(folder, format!("cannot be listed: {e}"));
        let mut content = Self {
            folder,
            idx: BTreeMap::new(),
            all: BTreeSet::new(),
        };
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            let is_folder = path.is_dir();
            let end = if is_folder { "/" } else { "" };
            content.all.insert(format!("{file}{end}"));
            // Some archives unpack to a folder with the file's name beside the file.
            if let Some(name) = Name::parse(&file).filter(|_| !is_folder) {
                content.idx.entry(name).or_default().push(path);
            }
        }
        for files in content.idx.values_mut() {
            // A plain file before its .gz, a dash before a dot.
            files.sort_by_key(|path| (path.extension().is_some_and(|e| e == "gz"), path.clone()));
        }
        Ok(content)
    }

    /// Names in a line, not too many of them.
    fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
        let names: Vec<&str> = names.collect();
        let shown = &names[..names.len().min(LISTED)];
        let more = names.len() - shown.len();
        match (names.len(), more) {
            (0, _) => "nothing".into(),
            (_, 0) => shown.join(", "),
            _ => format!("{} and {more} more", shown.join(", ")),
        }
    }

    /// The set that the folder holds images of.
    fn only_set(&self) -> Result<String> {
        let images = self.idx.keys().filter(|name| name.kind == Kind::Images);
        let sets: BTreeSet<&str> = images.map(|name| name.set.as_str()).collect();
        if sets.len() > 1 {
            let plain = "the plain names of MNIST";
            let names = sets.iter().map(|s| if s.is_empty() { plain } else { s });
            return Err(Error::file(
                self.folder,
                format!(
                    "holds the images of several data sets ({}); put the files of one of them into a folder of its \
                     own",
                    Self::listed(names)
                ),
            ));
        }
        Ok(sets.first().copied().unwrap_or_default().to_owned())
    }

    /// The train (or test) images of `set`.
    fn part(&self, set: &str, train: bool, reading: Reading) -> Result<Arc<dyn Source>> {
        let prefix = if set.is_empty() {
            String::new()
        } else {
            format!("{set}-")
        };
        let part = match (train, set.is_empty()) {
            (true, _) => "train",
            (_, true) => "t10k",
            _ => "test",
        };
        let Some(path) = self.find(set, train, Kind::Images)? else {
            let wanted = format!("{prefix}{part}-images-idx3-ubyte");
            let message = format!(
                "not found (nor {wanted}.gz); the folder holds {}, `data` wants IDX files named as those of MNIST, \
                 EMNIST or QMNIST, or CIFAR's .bin files",
                Self::listed(self.all.iter().map(String::as_str))
            );
            return Err(Error::file(self.folder.join(wanted), message));
        };
        let labels = self.find(set, train, Kind::Labels)?;
        if reading.in_place(|| idx::plain_size(path))? {
            let images = Files::idx(path)?;
            let labels = Self::labels(labels, images.len())?;
            return Ok(Arc::new(images.with_labels(labels)));
        }
        let images = idx::read_images(path)?;
        let labels = Self::labels(labels, images.len())?;
        Ok(Arc::new(Images { labels, ..images }))
    }

    /// The labels in `path`, if there is such a file, of `images` images.
    fn labels(path: Option<&Path>, images: usize) -> Result<Option<Vec<u8>>> {
        let Some(path) = path else {
            return Ok(None);
        };
        let labels = idx::read_labels(path)?;
        if labels.len() != images {
            return Err(Error::file(
                path,
                format!(
                    "holds {} labels for {images} images; the two files do not belong together",
                    labels.len()
                ),
            ));
        }
        Ok(Some(labels))
    }

    /// The file to take for one part; `t10k` and `test` side by side are two test parts.
    fn find(&self, set: &str, train: bool, kind: Kind) -> Result<Option<&Path>> {
        let fits = |name: &&Name| name.set == set && name.kind == kind && name.is_train() == train;
        let found: Vec<&PathBuf> = self
            .idx
            .iter()
            .filter(|(name, _)| fits(name))
            .filter_map(|(_, files)| files.first())
            .collect();
        match found[..] {
            [] => Ok(None),
            [path] => Ok(Some(path)),
            _ => {
                let names = found.iter().filter_map(|p| p.file_name()?.to_str());
                Err(Error::file(
                    self.folder,
                    format!(
                        "holds several test parts ({}); leave one of them there",
                        Self::listed(names)
                    ),
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(value: u8, labels: bool) -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, if labels { 1 } else { 3 }];
        let sizes: &[u32] = if labels { &[2] } else { &[2, 4, 4] };
        bytes.extend(sizes.iter().flat_map(|s| s.to_be_bytes()));
        bytes.extend(vec![value; sizes.iter().product::<u32>() as usize]);
        bytes
    }

    /// A folder of `names`, the pixels of each file its place in the list; what is read of it.
    fn read(names: &[&str]) -> std::result::Result<Dataset, String> {
        let folder = tempfile::tempdir().unwrap();
        for (i, name) in names.iter().enumerate() {
            let path = folder.path().join(name);
            if name.ends_with('/') {
                std::fs::create_dir(path).unwrap();
            } else {
                std::fs::write(path, file(i as u8, name.contains("labels"))).unwrap();
            }
        }
        read_folder(folder.path()).map_err(|e| e.to_string())
    }

    fn first_pixels(set: &Dataset) -> (u8, u8) {
        let first = |part: &dyn Source| part.read_range(0..1).unwrap()[0];
        (first(&set.train), first(&set.test))
    }

    /// Names as the publishers have them: the pages of MNIST, EMNIST (NIST), QMNIST and
    /// Fashion-MNIST, and what Kaggle's archive of MNIST unpacks to.
    #[test]
    fn every_publishers_names_are_read() {
        for [train, test] in [
            ["train-images-idx3-ubyte", "t10k-images-idx3-ubyte"],
            ["train-images.idx3-ubyte", "t10k-images.idx3-ubyte"],
            ["train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz"],
            [
                "qmnist-train-images-idx3-ubyte",
                "qmnist-test-images-idx3-ubyte",
            ],
            [
                "emnist-letters-train-images-idx3-ubyte.gz",
                "emnist-letters-test-images-idx3-ubyte.gz",
            ],
        ] {
            let labels = train.replace("images", "labels").replace("idx3", "idx1");
            let set = read(&[train, test, &labels, "readme.txt"]).unwrap();
            assert_eq!(first_pixels(&set), (0, 1), "{train}");
            let labels = [0, 1].map(|i| set.train.label(i));
            assert_eq!(labels, [Some(2); 2], "{train}");
            assert_eq!(set.test.label(0), None, "{train}");
        }
    }

    #[test]
    fn the_plain_file_and_the_dash_come_first() {
        let set = read(&[
            "train-images-idx3-ubyte.gz",
            "train-images.idx3-ubyte",
            "train-images-idx3-ubyte",
            "t10k-images-idx3-ubyte/",
            "t10k-images.idx3-ubyte",
        ])
        .unwrap();
        assert_eq!(first_pixels(&set), (2, 4));
    }

    #[test]
    fn errors_list_what_is_there() {
        let letters = [
            "emnist-letters-train-images-idx3-ubyte",
            "emnist-letters-test-images-idx3-ubyte",
        ];
        let digits = letters.map(|name| name.replace("letters", "digits"));
        let both = [letters[0], letters[1], &digits[0], &digits[1]];
        let many: Vec<String> = (10..40).map(|i| format!("{i}.txt")).collect();
        for (names, want) in [
            (
                &both[..],
                &["several data sets (emnist-digits, emnist-letters)"][..],
            ),
            (
                &["train-images-idx3-ubyte", letters[0]],
                &["several data sets (the plain names of MNIST, emnist-letters)"],
            ),
            (&[], &["not found", "holds nothing"]),
            (&["a.txt", "raw/"], &["not found", "holds a.txt, raw/,"]),
            (
                &letters[..1],
                &["letters-test-images-idx3-ubyte: not found", letters[0]],
            ),
            (
                &[
                    "train-images-idx3-ubyte",
                    "t10k-images-idx3-ubyte",
                    "test-images-idx3-ubyte",
                ],
                &["several test parts (t10k-images-idx3-ubyte, test-images-idx3-ubyte)"],
            ),
            (
                &many.iter().map(String::as_str).collect::<Vec<_>>(),
                &["21.txt and 18 more"],
            ),
        ] {
            let error = read(names).unwrap_err();
            assert!(!error.contains('\n'), "{error}");
            for want in want {
                assert!(error.contains(want), "{error:?} does not say {want:?}");
            }
        }
    }
}
