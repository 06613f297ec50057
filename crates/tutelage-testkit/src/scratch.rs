//! A folder for one test.

use std::ops::Deref;
use std::path::{Path, PathBuf};

/// An empty folder, which goes with this value.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes it; no two tests of one program may give the same name.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tutelage-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        if let Err(error) = std::fs::create_dir_all(&path) {
            panic!("{}: {error}", path.display());
        }
        Self(path)
    }
}

impl Deref for Scratch {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
