//! TensorBoard event files: TFRecord framing around hand-encoded `Event` messages.
//!
//! Format: `tensorflow/core/util/event.proto` and `tensorflow/core/lib/io/record_writer.h`: each record is
//! length (u64), masked CRC-32C of the length, data, masked CRC-32C of the data, little-endian.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::{FileError, create_folder};

/// One event file. Every process writes a new one; TensorBoard joins them.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// Begins a file in `folder`; steps from `first_step` on in older files are to be forgotten.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(folder: &Path, first_step: u64) -> Result<Self, FileError> {
        create_folder(folder)?;
        let (seconds, nanos) = now();
        let name = format!("events.out.tfevents.{seconds:010}.{nanos:09}.tutelage.{}", std::process::id());
        let path = folder.join(name);
        let file = File::create(&path).map_err(FileError::io("write", &path))?;
        let mut out = Self { path, file };
        let mut version = event(0);
        bytes_field(&mut version, 3, b"brain.Event:2");
        out.write(&version)?;
        // session_log { status: START }: what older files say of later steps is purged.
        let mut start = event(first_step);
        bytes_field(&mut start, 7, &[0x08, 0x01]);
        out.write(&start)?;
        Ok(out)
    }

    /// Writes scalars of one step.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn scalars(&mut self, step: u64, values: &[(&str, f64)]) -> Result<(), FileError> {
        let mut summary = Vec::new();
        for &(tag, value) in values {
            let mut entry = Vec::new();
            bytes_field(&mut entry, 1, tag.as_bytes());
            entry.push(2 << 3 | 5);
            entry.extend((value as f32).to_le_bytes());
            bytes_field(&mut summary, 1, &entry);
        }
        let mut message = event(step);
        bytes_field(&mut message, 5, &summary);
        self.write(&message)
    }

    fn write(&mut self, message: &[u8]) -> Result<(), FileError> {
        self.file.write_all(&record(message)).map_err(FileError::io("write", &self.path))
    }
}

fn now() -> (u64, u32) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (now.as_secs(), now.subsec_nanos())
}

/// `Event { wall_time = 1, step = 2 }`.
fn event(step: u64) -> Vec<u8> {
    let (seconds, nanos) = now();
    let mut out = vec![1 << 3 | 1];
    out.extend((seconds as f64 + f64::from(nanos) * 1e-9).to_le_bytes());
    out.push(2 << 3);
    varint(&mut out, step);
    out
}

fn bytes_field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn masked_crc(bytes: &[u8]) -> [u8; 4] {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

fn record(message: &[u8]) -> Vec<u8> {
    let len = (message.len() as u64).to_le_bytes();
    let mut out = len.to_vec();
    out.extend(masked_crc(&len));
    out.extend_from_slice(message);
    out.extend(masked_crc(message));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_format() {
        // The first record of every file TensorBoard writes has this length, whose masked CRC is known.
        let record = record(&[0; 24]);
        assert_eq!(record[..12], [24, 0, 0, 0, 0, 0, 0, 0, 0xa3, 0x7f, 0x4b, 0x22]);
        assert_eq!(record.len(), 8 + 4 + 24 + 4);
    }

    #[test]
    fn varints_are_base_128() {
        let mut out = Vec::new();
        varint(&mut out, 300);
        assert_eq!(out, [0xac, 0x02]);
    }
}
