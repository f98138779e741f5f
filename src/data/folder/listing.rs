//! What a folder of images holds: which files, of which part and of which class.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use walkdir::{DirEntry, WalkDir};

use crate::data::picture;
use crate::error::{Error, Result};

/// Folders below a part's that are looked into: a class, and what it keeps its images in.
const DEEPEST: usize = 4;
/// The file in which Tiny-ImageNet says of which class the images of its `val` are.
const ANNOTATIONS: &str = "val_annotations.txt";

/// An image's file.
#[derive(Debug, Clone)]
pub(super) struct Image {
    pub path: PathBuf,
    /// Its path below the part's folder.
    name: PathBuf,
    /// What may change when its content does: bytes, and nanoseconds since 1970.
    stamp: (u64, u128),
    /// Its class, by its place in the list of all.
    pub class: Option<u8>,
}

/// The images of a folder.
#[derive(Debug)]
pub(super) struct Listing {
    pub train: Vec<Image>,
    /// Empty where no folder says which they are.
    pub test: Vec<Image>,
    pub classes: Vec<String>,
    /// How they lie there.
    pub format: String,
}

impl Listing {
    /// What `folder` holds; `None` where there are no images.
    ///
    /// # Errors
    /// [`Error::File`] names what cannot be listed, and links that lead round in a circle.
    pub fn of(folder: &Path) -> Result<Option<Self>> {
        let parts = [&["train"][..], &["test", "val", "validation", "valid"]];
        let [train, mut test] = parts.map(|names| subfolder(folder, names));
        let val = folder.join("val");
        if val.join(ANNOTATIONS).is_file() {
            // The classes of Tiny-ImageNet's `test` are nobody's to know.
            test = Some(val);
        }
        let mut listing = Self {
            train: Vec::new(),
            test: Vec::new(),
            classes: Vec::new(),
            format: String::new(),
        };
        let mut parts = Vec::new();
        if let Some(train) = &train {
            listing.train = images(train)?;
            parts.push(name_of(train));
        }
        if let (false, Some(test)) = (listing.train.is_empty(), &test) {
            listing.test = images(test)?;
            parts.extend((!listing.test.is_empty()).then(|| name_of(test)));
        }
        if listing.train.is_empty() {
            listing.train = images(folder)?;
            parts.clear();
        }
        if listing.train.is_empty() {
            return Ok(None);
        }
        listing.name_classes(test.as_deref())?;
        let order = match listing.classes.len() {
            0 => "without classes".to_owned(),
            count => format!("in {count} classes"),
        };
        let parts = match &parts[..] {
            [] => String::new(),
            parts => format!(", from {}/", parts.join("/ and ")),
        };
        listing.format = format!("folder of images, {order}{parts}");
        Ok(Some(listing))
    }

    /// Gives each image its class, where all training images lie in folders of several.
    fn name_classes(&mut self, test: Option<&Path>) -> Result<()> {
        let mut classes = BTreeSet::new();
        for image in &self.train {
            match image.folder() {
                Some(class) => classes.insert(class.to_owned()),
                None => return Ok(()),
            };
        }
        // More than a byte tells apart are none: nothing is trained on them.
        if classes.len() < 2 || classes.len() > 256 {
            return Ok(());
        }
        self.classes = classes.into_iter().collect();
        let places = self.classes.iter().zip(0..=u8::MAX);
        let places: HashMap<&str, u8> = places.map(|(name, i)| (name.as_str(), i)).collect();
        let known = match test {
            Some(test) => annotations(test)?,
            None => HashMap::new(),
        };
        for image in self.train.iter_mut().chain(&mut self.test) {
            let file = image.name.file_name().map(|name| name.to_string_lossy());
            let annotated = file.and_then(|name| known.get(&*name));
            let class = annotated.map(String::as_str).or(image.folder());
            image.class = class.and_then(|class| places.get(class).copied());
        }
        Ok(())
    }

    /// What tells these images from others, and from themselves before a change.
    pub fn stamps(&self) -> impl Iterator<Item = (&Path, (u64, u128), Option<u8>)> {
        let all = self.train.iter().chain(&self.test);
        all.map(|image| (image.path.as_path(), image.stamp, image.class))
    }
}

impl Image {
    /// The folder right below the part's that it lies in.
    fn folder(&self) -> Option<&str> {
        let mut parts = self.name.iter();
        let first = parts.next()?;
        parts.next()?;
        first.to_str()
    }
}

fn name_of(folder: &Path) -> String {
    let name = folder.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// The first of the folders below `folder` that has one of these names.
fn subfolder(folder: &Path, names: &[&str]) -> Option<PathBuf> {
    let all = names.iter().map(|name| folder.join(name));
    all.into_iter().find(|path| path.is_dir())
}

/// The images in and below `folder`, by their names.
fn images(folder: &Path) -> Result<Vec<Image>> {
    let hidden = |entry: &DirEntry| {
        entry.depth() > 0 && entry.file_name().as_encoded_bytes().starts_with(b".")
    };
    let walk = WalkDir::new(folder).follow_links(true).max_depth(DEEPEST);
    let mut images = Vec::new();
    for entry in walk
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|e| !hidden(e))
    {
        let entry = entry.map_err(|error| refuse(folder, &error))?;
        if !entry.file_type().is_file() || !picture::is_named_so(entry.path()) {
            continue;
        }
        let about = entry.metadata().map_err(|error| refuse(folder, &error))?;
        let changed = about
            .modified()
            .ok()
            .and_then(|t| t.duration_since(UNIX_EPOCH).ok());
        let name = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        images.push(Image {
            name: name.to_path_buf(),
            path: entry.path().to_path_buf(),
            stamp: (about.len(), changed.map_or(0, |t| t.as_nanos())),
            class: None,
        });
    }
    Ok(images)
}

fn refuse(folder: &Path, error: &walkdir::Error) -> Error {
    let path = error.path().unwrap_or(folder);
    if let Some(above) = error.loop_ancestor() {
        let message = format!(
            "is a link back to {}, so that the folder has no end; remove it",
            above.display()
        );
        return Error::file(path, message);
    }
    let why = match error.io_error() {
        Some(error) => error.to_string(),
        None => error.to_string(),
    };
    Error::file(path, format!("cannot be listed: {why}"))
}

/// The classes that Tiny-ImageNet's list gives its validation images: a line a file, tabs between.
fn annotations(folder: &Path) -> Result<HashMap<String, String>> {
    let path = folder.join(ANNOTATIONS);
    if !path.is_file() {
        return Ok(HashMap::new());
    }
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Error::file(&path, format!("cannot be read: {error}")))?;
    let pairs = text.lines().filter_map(|line| {
        let mut words = line.split('\t');
        Some((words.next()?.to_owned(), words.next()?.to_owned()))
    });
    Ok(pairs.collect())
}
