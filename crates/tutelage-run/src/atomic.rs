//! Beside, fsync, rename.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::FileError;

/// Where a path is prepared: the same name each time, so that a killed run leaves one remnant at most.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.tmp"))
}

fn sync_parent(path: &Path) -> Result<(), FileError> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent).and_then(|folder| folder.sync_all()).map_err(FileError::io("sync", parent))
}

/// Makes a folder and those above it.
///
/// # Errors
/// When the system refuses.
pub fn create_folder(path: &Path) -> Result<(), FileError> {
    fs::create_dir_all(path).map_err(FileError::io("create the folder", path))
}

/// Removes a folder and all in it; one that is not there is no error.
///
/// # Errors
/// When the system refuses.
pub fn remove_folder(path: &Path) -> Result<(), FileError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FileError::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Removes a file, if it is there.
///
/// # Errors
/// When the system refuses.
pub fn remove_file(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FileError::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Gives a file that is durable another name, durably.
///
/// # Errors
/// When the system refuses.
pub fn rename(from: &Path, to: &Path) -> Result<(), FileError> {
    fs::rename(from, to).map_err(FileError::io("write", to))?;
    sync_parent(to)
}

/// Makes `to` the same file as `from`, or a copy of it where one file cannot have two names.
///
/// # Errors
/// When the system refuses.
pub fn link_or_copy(from: &Path, to: &Path) -> Result<(), FileError> {
    let temporary = beside(to);
    let _ = fs::remove_file(&temporary);
    if fs::hard_link(from, &temporary).is_err() {
        fs::copy(from, &temporary).map_err(FileError::io("write", to))?;
        File::open(&temporary).and_then(|file| file.sync_all()).map_err(FileError::io("write", to))?;
    }
    rename(&temporary, to)
}

/// A file that appears under its name only when it is whole.
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    temporary: PathBuf,
    file: BufWriter<File>,
}

impl AtomicFile {
    /// Begins a file.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create(path: &Path) -> Result<Self, FileError> {
        let temporary = beside(path);
        let file = File::create(&temporary).map_err(FileError::io("write", path))?;
        Ok(Self { path: path.to_path_buf(), temporary, file: BufWriter::with_capacity(1 << 18, file) })
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        self.file.write_all(bytes).map_err(FileError::io("write", &self.path))
    }

    /// Makes the file durable and gives it its name.
    ///
    /// # Errors
    /// When the system refuses; then the old file, if any, is still there.
    pub fn commit(mut self) -> Result<(), FileError> {
        let io = |error| FileError::io("write", &self.path)(error);
        self.file.flush().map_err(io)?;
        self.file.get_ref().sync_all().map_err(io)?;
        fs::rename(&self.temporary, &self.path).map_err(io)?;
        sync_parent(&self.path)
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        // Gone after a commit; after an error this frees the space at once.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// Writes a whole file.
///
/// # Errors
/// When the system refuses; then the old file, if any, is still there.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let mut file = AtomicFile::create(path)?;
    file.write(bytes)?;
    file.commit()
}

/// Writes a record as indented JSON.
///
/// # Errors
/// When the system refuses.
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), FileError> {
    let mut text = serde_json::to_string_pretty(value)
        .map_err(|error| FileError::content(path, format!("cannot be written as JSON: {error}")))?;
    text.push('\n');
    write_atomic(path, text.as_bytes())
}

/// A folder that appears under its name only when it is whole.
#[derive(Debug)]
pub struct AtomicFolder {
    path: PathBuf,
    temporary: PathBuf,
}

impl AtomicFolder {
    /// Begins a folder, over what an interrupted attempt may have left.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create(path: &Path) -> Result<Self, FileError> {
        let temporary = beside(path);
        remove_folder(&temporary)?;
        create_folder(&temporary)?;
        Ok(Self { path: path.to_path_buf(), temporary })
    }

    /// Where to put the files until then. Files written through this crate are durable already.
    pub fn inside(&self) -> &Path {
        &self.temporary
    }

    /// Gives the folder its name, in place of an older one.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn commit(self) -> Result<(), FileError> {
        remove_folder(&self.path)?;
        fs::rename(&self.temporary, &self.path).map_err(FileError::io("write", &self.path))?;
        sync_parent(&self.path)
    }
}

impl Drop for AtomicFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.temporary);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("tutelage-atomic-{name}-{}", std::process::id()));
        remove_folder(&path).unwrap();
        create_folder(&path).unwrap();
        path
    }

    #[test]
    fn an_abandoned_file_leaves_the_old_one() {
        let folder = folder("file");
        let path = folder.join("a.txt");
        write_atomic(&path, b"old").unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.write(b"new").unwrap();
        drop(file);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        remove_folder(&folder).unwrap();
    }

    #[test]
    fn a_committed_folder_replaces_the_old_one() {
        let folder = folder("folder");
        for content in ["one", "two"] {
            let new = AtomicFolder::create(&folder.join("c")).unwrap();
            write_atomic(&new.inside().join("x"), content.as_bytes()).unwrap();
            new.commit().unwrap();
        }
        assert_eq!(fs::read(folder.join("c/x")).unwrap(), b"two");
        remove_folder(&folder).unwrap();
    }
}
