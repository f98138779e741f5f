//! Images are decoded once.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use semivq::data::{Cache, ReadOptions, Reading, read_with};

use super::make::{options, pixels, png, put, read, sorted};

/// Five images; where they lie.
fn folder() -> (tempfile::TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    let images = (0..5).map(|i| put(folder.path(), &format!("images/{i}.png"), png(i)));
    let images = images.collect();
    (folder, images)
}

fn cache_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.join("cache")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Spoils an image so that nobody can see it but who decodes it.
fn spoil(path: &Path) {
    let changed = std::fs::metadata(path).unwrap().modified().unwrap();
    let length = std::fs::metadata(path).unwrap().len();
    std::fs::write(path, vec![b'x'; length as usize]).unwrap();
    touch(path, changed);
}

fn touch(path: &Path, time: SystemTime) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(time).unwrap();
}

#[test]
fn a_second_start_decodes_nothing() {
    let (folder, images) = folder();
    let first = read(folder.path()).unwrap();
    let cache = first.about.cache.clone().unwrap();
    assert_eq!(cache_files(folder.path()), std::slice::from_ref(&cache));
    images.iter().for_each(|path| spoil(path));
    let second = read(folder.path()).unwrap();
    assert_eq!(
        (pixels(&first), &first.about),
        (pixels(&second), &second.about)
    );
    for reading in [Reading::Memory, Reading::InPlace] {
        let by = ReadOptions {
            reading,
            ..options(folder.path())
        };
        let set = read_with(&folder.path().join("images"), &by).unwrap();
        assert_eq!(pixels(&set), pixels(&first), "{reading:?}");
        assert_eq!(
            format!("{set:?}").contains("Files"),
            reading == Reading::InPlace
        );
    }
    // In another form they would have to be decoded.
    let other = ReadOptions {
        image_size: Some(8),
        ..options(folder.path())
    };
    let error = read_with(&folder.path().join("images"), &other)
        .unwrap_err()
        .to_string();
    assert!(error.contains("0.png: is no readable"), "{error}");
}

#[test]
fn what_changed_is_decoded_anew() {
    let (folder, images) = folder();
    let first = read(folder.path()).unwrap();
    std::fs::write(&images[2], png(77)).unwrap();
    let changed = read(folder.path()).unwrap();
    assert!(sorted(&first) != sorted(&changed));
    // The old one is replaced.
    assert_eq!(cache_files(folder.path()).len(), 1);
    put(folder.path(), "images/5.png", png(5));
    let more = read(folder.path()).unwrap();
    assert_eq!(more.train.len() + more.test.len(), 6);
    std::fs::remove_file(&images[0]).unwrap();
    let fewer = read(folder.path()).unwrap();
    assert_eq!(fewer.train.len() + fewer.test.len(), 5);
}

#[test]
fn a_damaged_cache_is_made_anew() {
    let (folder, _) = folder();
    let first = pixels(&read(folder.path()).unwrap());
    let cache = cache_files(folder.path()).remove(0);
    let sound = std::fs::read(&cache).unwrap();
    let middle = sound.len() - 60;
    for (at, length) in [
        (7, sound.len()),
        (middle, sound.len()),
        (0, middle),
        (0, 3),
        (0, 0),
        (sound.len() - 1, sound.len()),
    ] {
        let mut damaged = sound[..length].to_vec();
        if let Some(byte) = damaged.get_mut(at) {
            *byte ^= 0x40;
        }
        std::fs::write(&cache, damaged).unwrap();
        assert_eq!(
            pixels(&read(folder.path()).unwrap()),
            first,
            "byte {at} of {length}"
        );
        assert_eq!(
            std::fs::read(&cache).unwrap(),
            sound,
            "byte {at} of {length}"
        );
    }
    // Even a length that would fill all memory.
    let mut long = sound.clone();
    let tail = long.len() - 20;
    long[tail..tail + 8].copy_from_slice(&u64::MAX.to_le_bytes());
    std::fs::write(&cache, long).unwrap();
    assert_eq!(pixels(&read(folder.path()).unwrap()), first);
}

#[test]
fn without_a_cache_they_are_decoded_each_time() {
    let (folder, images) = folder();
    let with = pixels(&read(folder.path()).unwrap());
    let off = ReadOptions {
        cache: Cache::Off,
        ..options(folder.path())
    };
    let set = read_with(&folder.path().join("images"), &off).unwrap();
    assert_eq!((pixels(&set), set.about.cache), (with, None));
    // A folder that cannot be is said, and no reason to stop.
    let file = put(folder.path(), "file", "text");
    let nowhere = ReadOptions {
        cache: Cache::In(file.join("below")),
        ..options(folder.path())
    };
    let set = read_with(&folder.path().join("images"), &nowhere).unwrap();
    assert!(
        set.about.notes[0].contains("are not kept for the next time"),
        "{:?}",
        set.about
    );
    images.iter().for_each(|path| spoil(path));
    assert!(read_with(&folder.path().join("images"), &off).is_err());
}
