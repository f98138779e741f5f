//! The real sets, where they lie beside the repository.

use std::path::{Path, PathBuf};

use semivq::data::{Cache, ReadOptions, read_with};

/// A folder of real data, if it is there.
fn real(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/data")
        .join(name);
    let there = path.exists();
    if !there {
        println!("{} is not there: nothing is read", path.display());
    }
    there.then_some(path)
}

#[test]
fn cifar_and_mnist_are_read_as_they_are_published() {
    let cache = tempfile::tempdir().unwrap();
    for (name, shape, counts, classes, format) in [
        (
            "cifar10-10k",
            [3, 32, 32],
            (9000, 1000),
            10,
            "in 10 classes, from train/ and test/",
        ),
        (
            "cifar10-10k/test",
            [3, 32, 32],
            (900, 100),
            10,
            "in 10 classes",
        ),
        (
            "cifar10-10k/test/cat",
            [3, 32, 32],
            (90, 10),
            0,
            "without classes",
        ),
        (
            "cifar10-10k/cifar-10-batches-bin",
            [3, 32, 32],
            (450, 50),
            10,
            "CIFAR",
        ),
        ("mnist-10k", [1, 28, 28], (9000, 1000), 0, "IDX"),
    ] {
        let Some(path) = real(name) else { continue };
        let options = ReadOptions {
            granularity: 4,
            cache: Cache::In(cache.path().to_path_buf()),
            ..ReadOptions::default()
        };
        let set = read_with(&path, &options).unwrap();
        assert_eq!(
            (set.shape(), set.about.classes.len()),
            (shape, classes),
            "{name}"
        );
        assert_eq!((set.train.len(), set.test.len()), counts, "{name}");
        assert!(
            set.about.format.contains(format),
            "{name}: {}",
            set.about.format
        );
        assert!(set.about.notes.is_empty(), "{:?}", set.about.notes);
        // As many of each class.
        if classes == 10 && counts.0 == 9000 {
            let of = |class: u8| {
                (0..set.train.len())
                    .filter(|i| set.train.label(*i) == Some(class))
                    .count()
            };
            assert!((0..10).all(|class| of(class) == 900));
        }
        if let Some(size) = options.image_size {
            assert_eq!(size, shape[1]);
        }
    }
}
