//! Matrices of fastText: of numbers, or of codes for pieces of rows (product quantisation; Jegou and others, 2011).

use super::cursor::Cursor;

/// A matrix whose rows are added up, or multiplied with a vector.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Matrix {
    Dense(Dense),
    Quantised(Quantised),
}

/// Row after row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Dense {
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) data: Vec<f32>,
}

/// A code for each piece of each row, and perhaps one for its length.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Quantised {
    rows: usize,
    cols: usize,
    codes: Vec<u8>,
    pieces: Pieces,
    norms: Option<(Vec<u8>, Pieces)>,
}

/// What codes stand for: 256 vectors for each piece.
#[derive(Debug, Clone, PartialEq)]
struct Pieces {
    n: usize,
    width: usize,
    last_width: usize,
    centroids: Vec<f32>,
}

const CODES: usize = 256;

impl Matrix {
    pub(super) fn dense(cursor: &mut Cursor<'_>) -> Result<Self, String> {
        let (rows, cols) = (cursor.long_count("the number of rows")?, cursor.long_count("the number of columns")?);
        let n = rows.checked_mul(cols).ok_or("a matrix that is larger than any memory")?;
        Ok(Self::Dense(Dense { rows, cols, data: cursor.floats(n)? }))
    }

    pub(super) fn quantised(cursor: &mut Cursor<'_>) -> Result<Self, String> {
        let has_norms = cursor.flag("whether rows have a length of their own")?;
        let (rows, cols) = (cursor.long_count("the number of rows")?, cursor.long_count("the number of columns")?);
        let n_codes = cursor.count("the number of codes")?;
        let codes = cursor.take(n_codes)?.to_vec();
        let pieces = Pieces::read(cursor, cols)?;
        if rows.checked_mul(pieces.n) != Some(n_codes) {
            return Err(format!("{n_codes} codes for {rows} rows of {} pieces", pieces.n));
        }
        let norms = match has_norms {
            true => {
                let codes = cursor.take(rows)?.to_vec();
                Some((codes, Pieces::read(cursor, 1)?))
            }
            false => None,
        };
        Ok(Self::Quantised(Quantised { rows, cols, codes, pieces, norms }))
    }

    pub(super) fn rows(&self) -> usize {
        match self {
            Self::Dense(matrix) => matrix.rows,
            Self::Quantised(matrix) => matrix.rows,
        }
    }

    pub(super) fn cols(&self) -> usize {
        match self {
            Self::Dense(matrix) => matrix.cols,
            Self::Quantised(matrix) => matrix.cols,
        }
    }

    /// Adds a row to `sum`.
    pub(super) fn add_row(&self, row: usize, sum: &mut [f32]) {
        match self {
            Self::Dense(matrix) => sum.iter_mut().zip(matrix.row(row)).for_each(|(sum, x)| *sum += x),
            Self::Quantised(matrix) => {
                let norm = matrix.norm(row);
                let mut at = 0;
                for piece in matrix.row(row) {
                    for x in piece {
                        sum[at] += norm * x;
                        at += 1;
                    }
                }
            }
        }
    }

    /// The product of a row with a vector.
    pub(super) fn dot_row(&self, row: usize, vector: &[f32]) -> f32 {
        match self {
            Self::Dense(matrix) => matrix.row(row).iter().zip(vector).map(|(a, b)| a * b).sum(),
            Self::Quantised(matrix) => {
                let values = matrix.row(row).flatten();
                matrix.norm(row) * values.zip(vector).map(|(a, b)| a * b).sum::<f32>()
            }
        }
    }
}

impl Dense {
    pub(super) fn row(&self, row: usize) -> &[f32] {
        &self.data[row * self.cols..(row + 1) * self.cols]
    }
}

impl Quantised {
    fn row(&self, row: usize) -> impl Iterator<Item = &[f32]> {
        let codes = &self.codes[row * self.pieces.n..(row + 1) * self.pieces.n];
        codes.iter().enumerate().map(|(piece, &code)| self.pieces.of(piece, code))
    }

    fn norm(&self, row: usize) -> f32 {
        self.norms.as_ref().map_or(1.0, |(codes, pieces)| pieces.of(0, codes[row])[0])
    }
}

impl Pieces {
    fn read(cursor: &mut Cursor<'_>, cols: usize) -> Result<Self, String> {
        let dim = cursor.count("the width of rows")?;
        let n = cursor.count("the number of pieces")?;
        let width = cursor.count("the width of pieces")?;
        let last_width = cursor.count("the width of the last piece")?;
        let covered = n.checked_sub(1).and_then(|n| n.checked_mul(width)).and_then(|sum| sum.checked_add(last_width));
        if dim != cols || covered != Some(dim) || last_width > width || last_width == 0 {
            return Err(format!("{n} pieces of {width}, the last of {last_width}, for rows of {dim} out of {cols}"));
        }
        let centroids = cursor.floats(dim.checked_mul(CODES).ok_or("rows that are wider than any memory")?)?;
        Ok(Self { n, width, last_width, centroids })
    }

    /// What a code of a piece stands for. The last piece may be narrower, and is then packed closer.
    fn of(&self, piece: usize, code: u8) -> &[f32] {
        let start = piece * CODES * self.width;
        let width = if piece + 1 == self.n { self.last_width } else { self.width };
        let at = start + usize::from(code) * width;
        &self.centroids[at..at + width]
    }
}
