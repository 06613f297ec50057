//! Little-endian numbers out of a file that may be damaged.

/// Bytes, and how far they were read.
#[derive(Debug)]
pub(super) struct Cursor<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Cursor<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn take(&mut self, n: usize) -> Result<&'b [u8], String> {
        let end = self.at.checked_add(n).filter(|&end| end <= self.bytes.len());
        let end = end.ok_or_else(|| format!("ends early: {n} bytes are to follow byte {}", self.at))?;
        let found = &self.bytes[self.at..end];
        self.at = end;
        Ok(found)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(super) fn byte(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }

    /// A byte that is 0 or 1.
    pub(super) fn flag(&mut self, what: &str) -> Result<bool, String> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(format!("{what} is {other}, which is neither yes nor no")),
        }
    }

    pub(super) fn i32(&mut self) -> Result<i32, String> {
        self.array().map(i32::from_le_bytes)
    }

    /// Numbers that follow each other.
    pub(super) fn numbers<const N: usize>(&mut self) -> Result<[i32; N], String> {
        let mut numbers = [0; N];
        for number in &mut numbers {
            *number = self.i32()?;
        }
        Ok(numbers)
    }

    pub(super) fn i64(&mut self) -> Result<i64, String> {
        self.array().map(i64::from_le_bytes)
    }

    pub(super) fn f64(&mut self) -> Result<f64, String> {
        self.array().map(f64::from_le_bytes)
    }

    /// A count, which is not negative.
    pub(super) fn count(&mut self, what: &str) -> Result<usize, String> {
        let found = self.i32()?;
        usize::try_from(found).map_err(|_| format!("{what} is {found}"))
    }

    /// A larger count.
    pub(super) fn long_count(&mut self, what: &str) -> Result<usize, String> {
        let found = self.i64()?;
        usize::try_from(found).map_err(|_| format!("{what} is {found}"))
    }

    /// So many numbers.
    pub(super) fn floats(&mut self, n: usize) -> Result<Vec<f32>, String> {
        let bytes = n.checked_mul(4).ok_or_else(|| format!("{n} numbers are to follow"))?;
        Ok(self.take(bytes)?.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }

    /// Text up to a zero byte.
    pub(super) fn word(&mut self) -> Result<&'b [u8], String> {
        let rest = &self.bytes[self.at..];
        let len = memchr::memchr(0, rest).ok_or_else(|| format!("ends early, in a word at byte {}", self.at))?;
        self.at += len + 1;
        Ok(&rest[..len])
    }

    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }
}
