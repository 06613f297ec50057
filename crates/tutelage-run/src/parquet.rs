//! Parquet's reader has assertions about what damaged files say of themselves: what they would end comes back as a message.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};

use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{FileReader, SerializedFileReader};

/// Reads what a Parquet file says of itself.
///
/// # Errors
/// With what was found, when that cannot be.
pub fn parquet_reader(file: File) -> Result<SerializedFileReader<File>, String> {
    guarded(|| {
        let reader = SerializedFileReader::new(file).map_err(|error| error.to_string())?;
        check(reader.metadata()).map(|()| reader)
    })
}

/// Finds what the reader is known to assert: where columns lie, and how long they are.
fn check(metadata: &ParquetMetaData) -> Result<(), String> {
    for column in metadata.row_groups().iter().flat_map(|group| group.columns()) {
        let numbers =
            [column.data_page_offset(), column.dictionary_page_offset().unwrap_or(0), column.compressed_size()];
        if let Some(number) = numbers.into_iter().find(|&number| number < 0) {
            return Err(format!("it says that a column begins or extends at {number}"));
        }
    }
    Ok(())
}

/// Carries out `read`, of a library: an assertion of its that fails is an error.
///
/// # Errors
/// When `read` gives one, or an assertion fails.
pub fn guarded<T>(read: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    // What `read` borrowed mutably is given up by every caller after an error.
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err("its contents contradict each other".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assertions_are_errors() {
        assert_eq!(guarded::<()>(|| panic!("an assertion")).unwrap_err(), "its contents contradict each other");
        assert_eq!(guarded(|| Ok(5)), Ok(5));
    }
}
