//! Our function in plans: `band_key(keys, band)`, the key of a band out of a document's signature.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, UInt64Array};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
struct BandKey {
    signature: Signature,
}

/// The function as plans know it.
pub(crate) fn band_key() -> ScalarUDF {
    let signature = Signature::exact(vec![DataType::Binary, DataType::Int64], Volatility::Immutable);
    ScalarUDF::from(BandKey { signature })
}

impl ScalarUDFImpl for BandKey {
    fn name(&self) -> &'static str {
        "band_key"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::UInt64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let (keys, bands) = (arrays[0].as_binary::<i32>(), arrays[1].as_primitive::<Int64Type>());
        let of = |row: usize| {
            if keys.is_null(row) || bands.is_null(row) {
                return Ok(None);
            }
            let key = usize::try_from(bands.value(row)).ok().and_then(|band| {
                let start = band.checked_mul(8)?;
                keys.value(row).get(start..start.checked_add(8)?)?.try_into().ok()
            });
            let wrong = || {
                DataFusionError::Execution(format!("band {} of {} keys", bands.value(row), keys.value(row).len() / 8))
            };
            key.map(u64::from_le_bytes).ok_or_else(wrong).map(Some)
        };
        let found: UInt64Array = (0..keys.len()).map(of).collect::<Result<Vec<_>>>()?.into();
        Ok(ColumnarValue::Array(Arc::new(found) as Arc<dyn Array>))
    }
}
