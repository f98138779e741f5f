//! A folder of images becomes a data set: which form its images get, and their decoding on all cores.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use super::cache::{self, Footer, Stored, Writer};
use super::listing::{Image, Listing};
use crate::data::picture::{self, Header};
use crate::data::{About, Dataset, IN_MEMORY, Images, ReadOptions, Reading, Source};
use crate::error::{Error, Result};

/// Height and width of images that come in several sizes, where no other is wanted.
pub const USUAL_SIZE: usize = 64;
/// The largest height and width that images keep of themselves.
const LARGEST_KEPT: u32 = 256;
/// Images that are decoded before they are written.
const AT_ONCE: usize = 512;
/// Names that a note lists at most.
const LISTED: usize = 3;

/// The form in which the images of a folder are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Form {
    image_size: Option<usize>,
    granularity: usize,
    channels: Option<usize>,
    skip_bad: bool,
}

/// The images in `folder`; `None` where it holds none.
///
/// # Errors
/// [`Error::File`] names the image that cannot be read and how to go on, or what cannot be listed; [`Error::Option`] when
/// the model does not take images of the wanted size; [`Error::Data`] as [`Dataset::hold_out`].
pub fn dataset(folder: &Path, options: &ReadOptions) -> Result<Option<Dataset>> {
    let Some(listing) = Listing::of(folder)? else {
        return Ok(None);
    };
    let form = Form {
        image_size: options.image_size,
        // Of no consequence to a size that is given: it divides that, or is refused.
        granularity: options.image_size.map_or(options.granularity, |_| 1),
        channels: options.channels,
        skip_bad: options.skip_bad,
    };
    if let Some(size) = form.image_size
        && !size.is_multiple_of(options.granularity)
    {
        return Err(Error::Option {
            name: "image_size".into(),
            value: size.to_string(),
            want: format!(
                "a multiple of {}, which the model asks for",
                options.granularity
            ),
        });
    }
    let key = key(&listing, form);
    let file = options.cache.file(folder, &form);
    let known = match &file {
        Some(file) => cache::open(file, key, options.reading)?,
        None => None,
    };
    let (stored, file) = match known {
        Some(stored) => (stored, file),
        None => {
            let work = Work::new(&listing, form, key)?;
            if work.images.is_empty() {
                let why = work.skipped.note().unwrap_or_default();
                return Err(Error::file(
                    folder,
                    format!("holds no image that can be read: {why}"),
                ));
            }
            make(&work, file.as_deref(), options.reading)?
        }
    };
    let about = About {
        format: listing.format,
        takes: &["image_size", "skip_bad"],
        classes: listing.classes,
        notes: stored.notes,
        cache: file,
    };
    let name = folder.display().to_string();
    let set = if stored.test.is_empty() {
        Dataset::hold_out(&name, Arc::<dyn Source>::from(stored.train), options.seed)?
    } else {
        let set = Dataset {
            name,
            train: stored.train.into(),
            test: stored.test.into(),
            about: About::default(),
        };
        set.validate()?;
        set
    };
    Ok(Some(Dataset { about, ..set }))
}

/// What tells decoded images from those of other files, of other times or in another form.
fn key(listing: &Listing, form: Form) -> u64 {
    let mut hash = DefaultHasher::new();
    (env!("CARGO_PKG_VERSION"), form, listing.train.len()).hash(&mut hash);
    for stamp in listing.stamps() {
        stamp.hash(&mut hash);
    }
    listing.classes.hash(&mut hash);
    hash.finish()
}

/// What becomes of the images: their shape, and whether their middle is cut out and resized.
struct Plan {
    shape: [usize; 3],
    resize: Option<usize>,
    note: Option<String>,
}

impl Plan {
    fn new(headers: &[Header], form: Form) -> Self {
        let sizes: BTreeSet<(u32, u32)> = headers.iter().map(|h| h.size).collect();
        let all_grey = headers.iter().all(|h| h.grey);
        let channels = form.channels.unwrap_or(if all_grey { 1 } else { 3 });
        let fits = |(width, height): (u32, u32)| {
            let fits = |v: u32| v <= LARGEST_KEPT && (v as usize).is_multiple_of(form.granularity);
            fits(width) && fits(height)
        };
        let only = sizes.first().copied().filter(|_| sizes.len() == 1);
        if let (None, Some((width, height))) = (form.image_size, only.filter(|size| fits(*size))) {
            return Self {
                shape: [channels, height as usize, width as usize],
                resize: None,
                note: None,
            };
        }
        let usual = USUAL_SIZE.next_multiple_of(form.granularity);
        let size = form.image_size.unwrap_or(usual);
        let were = match (only, sizes.first(), sizes.last()) {
            (Some((width, height)), ..) => format!("images of {width} x {height}"),
            (_, Some(least), Some(greatest)) => format!(
                "images of {} sizes, {} x {} to {} x {},",
                sizes.len(),
                least.0,
                least.1,
                greatest.0,
                greatest.1
            ),
            _ => "images".into(),
        };
        let other = match form.image_size {
            Some(_) => "",
            None => "; another size with `image_size`",
        };
        let same = only == Some((size as u32, size as u32));
        let note = format!("{were} were resized and cropped to {size} x {size}{other}");
        Self {
            shape: [channels, size, size],
            resize: Some(size),
            note: (!same).then_some(note),
        }
    }
}

/// Images that could not be read, and were left out.
#[derive(Clone, Default)]
struct Skipped {
    count: usize,
    first: Vec<String>,
}

impl Skipped {
    /// The value of an image, or none where it is left out.
    fn unless_bad<T>(&mut self, result: Result<T>, form: Form) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if form.skip_bad => {
                self.count += 1;
                if self.first.len() < LISTED {
                    self.first.push(error.to_string());
                }
                Ok(None)
            }
            Err(Error::File { path, message }) => Err(Error::File {
                path,
                message: format!(
                    "{message}; repair or remove it, or leave out all such images with `skip_bad`"
                ),
            }),
            Err(error) => Err(error),
        }
    }

    fn note(&self) -> Option<String> {
        let more = match self.count - self.first.len() {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        let were = match self.count {
            0 => return None,
            1 => "1 image was".to_owned(),
            count => format!("{count} images were"),
        };
        let listed = self.first.join("; ");
        Some(format!("{were} left out: {listed}{more}"))
    }
}

/// Why decoding ended early.
enum Ended {
    Image(Error),
    Cache(std::io::Error),
}

/// Takes the pixels of images, one after the other.
type Sink<'a> = dyn FnMut(&[u8]) -> std::io::Result<()> + 'a;

/// The images that are to be decoded, those of the train part first, and how.
struct Work<'a> {
    images: Vec<&'a Image>,
    /// How many of them are of the train part.
    train: usize,
    plan: Plan,
    form: Form,
    /// What is left out already.
    skipped: Skipped,
    labelled: bool,
    key: u64,
}

impl<'a> Work<'a> {
    /// Looks at the heads of all images.
    fn new(listing: &'a Listing, form: Form, key: u64) -> Result<Self> {
        let all: Vec<&Image> = listing.train.iter().chain(&listing.test).collect();
        let headers = all.par_iter().map(|image| picture::header(&image.path));
        let headers: Vec<Result<Header>> = headers.collect();
        let mut skipped = Skipped::default();
        let (mut images, mut known, mut train) = (Vec::new(), Vec::new(), 0);
        for (place, (image, header)) in all.iter().zip(headers).enumerate() {
            if let Some(header) = skipped.unless_bad(header, form)? {
                images.push(*image);
                known.push(header);
                train += usize::from(place < listing.train.len());
            }
        }
        Ok(Self {
            images,
            train,
            plan: Plan::new(&known, form),
            form,
            skipped,
            labelled: !listing.classes.is_empty(),
            key,
        })
    }

    /// Bytes of all images, once they are decoded.
    fn bytes(&self) -> u64 {
        let stride: usize = self.plan.shape.iter().product();
        self.images.len() as u64 * stride as u64
    }

    /// Decodes the images on all cores, and gives their pixels to `sink` in their order.
    fn decode(&self, sink: &mut Sink<'_>) -> std::result::Result<Footer, Ended> {
        let (mut skipped, mut counts) = (self.skipped.clone(), [0; 2]);
        let mut labels = [Vec::new(), Vec::new()];
        let parts = self.images.split_at(self.train);
        for (part, images) in [parts.0, parts.1].into_iter().enumerate() {
            for some in images.chunks(AT_ONCE) {
                let decoded = some.par_iter().map(|image| self.image(image));
                let decoded: Vec<Result<Images>> = decoded.collect();
                for (image, decoded) in some.iter().zip(decoded) {
                    let decoded = skipped.unless_bad(decoded, self.form);
                    let Some(decoded) = decoded.map_err(Ended::Image)? else {
                        continue;
                    };
                    sink(&decoded.pixels).map_err(Ended::Cache)?;
                    counts[part] += 1;
                    labels[part].push(image.class);
                }
            }
        }
        let whole = |labels: Vec<Option<u8>>| -> Option<Vec<u8>> {
            labels
                .into_iter()
                .collect::<Option<_>>()
                .filter(|_| self.labelled)
        };
        Ok(Footer {
            key: self.key,
            shape: self.plan.shape,
            counts,
            labels: labels.map(whole),
            notes: self
                .plan
                .note
                .iter()
                .cloned()
                .chain(skipped.note())
                .collect(),
            crc: 0,
        })
    }

    fn image(&self, image: &Image) -> Result<Images> {
        let Plan { shape, resize, .. } = &self.plan;
        let decoded = picture::read_fitted(&image.path, shape[0], *resize)?;
        if decoded.shape == *shape {
            return Ok(decoded);
        }
        Err(Error::file(
            &image.path,
            "became another image while it was read",
        ))
    }

    fn write_file(&self, path: &Path) -> std::result::Result<(), Ended> {
        let mut writer = Writer::new(path).map_err(Ended::Cache)?;
        let footer = self.decode(&mut |pixels| writer.write(pixels))?;
        writer.finish(footer).map_err(Ended::Cache)
    }

    fn keep_in_memory(&self) -> Result<Stored> {
        let mut all = Vec::new();
        let footer = self.decode(&mut |pixels| {
            all.extend_from_slice(pixels);
            Ok(())
        });
        let Footer {
            shape,
            counts,
            labels,
            notes,
            ..
        } = footer.map_err(|ended| match ended {
            Ended::Image(error) => error,
            Ended::Cache(error) => Error::Config(error.to_string()),
        })?;
        let test = all.split_off(counts[0] * shape.iter().product::<usize>());
        let [train_labels, test_labels] = labels;
        let part = |pixels, labels| {
            Box::new(Images {
                shape,
                pixels,
                labels,
            })
        };
        Ok(Stored {
            train: part(all, train_labels),
            test: part(test, test_labels),
            notes,
        })
    }
}

/// Decodes the images into the cache file, or into memory where there can be none.
fn make(
    work: &Work<'_>,
    file: Option<&Path>,
    reading: Reading,
) -> Result<(Stored, Option<PathBuf>)> {
    let Some(path) = file else {
        if work.bytes() > IN_MEMORY {
            return Err(cache::no_room(
                None,
                work.bytes(),
                "there is no folder for it",
            ));
        }
        return Ok((work.keep_in_memory()?, None));
    };
    match work.write_file(path) {
        Ok(()) => match cache::open(path, work.key, reading)? {
            Some(stored) => Ok((stored, Some(path.to_path_buf()))),
            None => Err(Error::file(
                path,
                "is not as it was written; is the disk sound?",
            )),
        },
        Err(Ended::Image(error)) => Err(error),
        Err(Ended::Cache(error)) if work.bytes() > IN_MEMORY => {
            Err(cache::no_room(file, work.bytes(), &error.to_string()))
        }
        Err(Ended::Cache(error)) => {
            let mut stored = work.keep_in_memory()?;
            let place = path.display();
            stored.notes.push(format!(
                "the decoded images are not kept for the next time: {place} cannot be written: {error}"
            ));
            Ok((stored, None))
        }
    }
}
