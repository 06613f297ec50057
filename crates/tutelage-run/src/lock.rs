//! One process a run folder.

use std::fs::{File, TryLockError};
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};

use crate::FileError;

/// Held while a process works at something; the system releases it when the process ends, however it ends.
#[derive(Debug)]
pub struct FileLock {
    file: File,
    path: PathBuf,
}

impl FileLock {
    /// Takes the file, which is made if need be; nothing if another process has it.
    ///
    /// # Errors
    /// When the file cannot be made or locked.
    pub fn try_acquire(path: &Path) -> Result<Option<Self>, FileError> {
        let options = File::options().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = options.map_err(FileError::io("open", path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(FileError::io("lock", path)(error)),
        }
        // Only a hint for messages, so a failure to write it is not one.
        let _ = file.set_len(0);
        let _ = file.rewind();
        let _ = write!(file, "{}", std::process::id());
        Ok(Some(Self { file, path: path.to_path_buf() }))
    }

    /// Removes the file and gives it up. Who waited for it has to look whether there is still something to do.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn remove(self) -> Result<(), FileError> {
        std::fs::remove_file(&self.path).map_err(FileError::io("remove", &self.path))?;
        drop(self.file);
        Ok(())
    }
}

/// Held while a process works in a folder.
#[derive(Debug)]
pub struct RunLock {
    _lock: FileLock,
}

impl RunLock {
    /// Takes the folder.
    ///
    /// # Errors
    /// When another process has it, or the lock file cannot be made.
    pub fn acquire(folder: &Path) -> Result<Self, FileError> {
        let path = folder.join(".lock");
        if let Some(lock) = FileLock::try_acquire(&path)? {
            return Ok(Self { _lock: lock });
        }
        let holder = match std::fs::read_to_string(&path).unwrap_or_default().trim() {
            "" => String::new(),
            pid => format!(" (process {pid})"),
        };
        Err(FileError::InUse { path: folder.to_path_buf(), holder })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_until_the_first_is_gone() {
        let folder = std::env::temp_dir().join(format!("tutelage-lock-{}", std::process::id()));
        crate::create_folder(&folder).unwrap();
        let first = RunLock::acquire(&folder).unwrap();
        let refusal = RunLock::acquire(&folder).unwrap_err();
        assert!(refusal.is_request() && refusal.to_string().contains(&std::process::id().to_string()));
        drop(first);
        RunLock::acquire(&folder).unwrap();
        crate::remove_folder(&folder).unwrap();
    }
}
