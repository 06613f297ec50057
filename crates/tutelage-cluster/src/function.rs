//! Our functions in plans: `band_key(keys, band)`, the key of a band out of a document's signature; `text_bytes`, `text_chars`,
//! `text_words` and `text_bin` of a text, and `url_host` of an address, as the embedded path counts them.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray, UInt64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use tutelage_corpus::{Histogram, count_words, host};

/// Which function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    BandKey,
    Bytes,
    Chars,
    Words,
    Bin,
    Host,
}

const ALL: [Kind; 6] = [Kind::BandKey, Kind::Bytes, Kind::Chars, Kind::Words, Kind::Bin, Kind::Host];

#[derive(Debug, PartialEq, Eq, Hash)]
struct Function {
    kind: Kind,
    signature: Signature,
}

/// All of them, as plans know them.
pub(crate) fn functions() -> impl Iterator<Item = ScalarUDF> {
    ALL.into_iter().map(|kind| {
        // The engine reads texts and bytes in forms of its own (views), which are cast where they are used.
        let signature = Signature::any(if kind == Kind::BandKey { 2 } else { 1 }, Volatility::Immutable);
        ScalarUDF::from(Function { kind, signature })
    })
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &'static str {
        match self.kind {
            Kind::BandKey => "band_key",
            Kind::Bytes => "text_bytes",
            Kind::Chars => "text_chars",
            Kind::Words => "text_words",
            Kind::Bin => "text_bin",
            Kind::Host => "url_host",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(if self.kind == Kind::Host { DataType::Utf8 } else { DataType::UInt64 })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let found: ArrayRef = match self.kind {
            Kind::BandKey => Arc::new(band_keys(&arrays[0], &arrays[1])?),
            Kind::Bytes => Arc::new(numbers(&arrays[0], |text| text.len() as u64)?),
            Kind::Chars => Arc::new(numbers(&arrays[0], |text| text.chars().count() as u64)?),
            Kind::Words => Arc::new(numbers(&arrays[0], count_words)?),
            Kind::Bin => Arc::new(numbers(&arrays[0], |text| Histogram::bin_of(text.chars().count() as u64) as u64)?),
            Kind::Host => {
                let texts = cast(&arrays[0], &DataType::Utf8)?;
                let hosts = texts.as_string::<i32>().iter();
                let hosts: StringArray = hosts.map(|url| Some(host(url?)?.to_ascii_lowercase())).collect();
                Arc::new(hosts)
            }
        };
        Ok(ColumnarValue::Array(found))
    }
}

fn numbers(texts: &ArrayRef, of: impl Fn(&str) -> u64) -> Result<UInt64Array> {
    let texts = cast(texts, &DataType::Utf8)?;
    Ok(texts.as_string::<i32>().iter().map(|text| text.map(&of)).collect())
}

fn band_keys(keys: &ArrayRef, bands: &ArrayRef) -> Result<UInt64Array> {
    let (keys, bands) = (cast(keys, &DataType::Binary)?, cast(bands, &DataType::Int64)?);
    let (keys, bands) = (keys.as_binary::<i32>(), bands.as_primitive::<Int64Type>());
    let of = |row: usize| {
        if keys.is_null(row) || bands.is_null(row) {
            return Ok(None);
        }
        let key = usize::try_from(bands.value(row)).ok().and_then(|band| {
            let start = band.checked_mul(8)?;
            keys.value(row).get(start..start.checked_add(8)?)?.try_into().ok()
        });
        let wrong = || {
            let found = format!("band {} of {} keys", bands.value(row), keys.value(row).len() / 8);
            DataFusionError::Execution(found)
        };
        key.map(u64::from_le_bytes).ok_or_else(wrong).map(Some)
    };
    Ok((0..keys.len()).map(of).collect::<Result<Vec<_>>>()?.into())
}
