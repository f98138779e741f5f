//! Folders of images: every kind of file and of folder, broken ones, the cache, and the real sets.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "images/broken.rs"]
mod broken;
#[path = "images/cached.rs"]
mod cached;
#[path = "images/folders.rs"]
mod folders;
#[path = "images/make.rs"]
mod make;
#[path = "images/real.rs"]
mod real;
