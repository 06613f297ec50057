//! First values.

use tutelage_run::RandomStream;
use tutelage_tensor::{Device, Params, Precision};

use super::weights::{Role, Spec, Weights, specs};
use super::{Decoder, DecoderConfig};
use crate::ModelError;

impl Decoder {
    /// A new model: norms at one, biases at zero; every matrix normal with deviation `init_std`, except those that write
    /// into the residual stream (`wo`, `w2`), which are smaller by `sqrt(2 * n_layers)` so that its variance does
    /// not grow with depth (the GPT-2 scheme). Each weight has its own random stream, named after it, so a
    /// weight's first values depend on the seed, its name and its deviation alone.
    ///
    /// # Errors
    /// When the sizes make no model.
    pub fn random(config: DecoderConfig, device: &Device, precision: Precision, seed: u64) -> Result<Self, ModelError> {
        Self::random_in(config, Params::new(device, precision), seed)
    }

    /// The same in parameters of one's own, such as those of a model that will not learn.
    ///
    /// # Errors
    /// When the sizes make no model.
    pub fn random_in(config: DecoderConfig, params: Params, seed: u64) -> Result<Self, ModelError> {
        config.validate()?;
        let residual_std = config.init_std / (2.0 * config.n_layers as f64).sqrt();
        let init_std = config.init_std;
        Self::from_weights(config, params, |spec| {
            let n = spec.shape.iter().product();
            let std = match spec.role {
                Role::Norm => return Ok(vec![1.0; n]),
                Role::Bias => return Ok(vec![0.0; n]),
                Role::Embedding | Role::Inner | Role::Head => init_std,
                Role::Residual => residual_std,
            };
            let mut stream = RandomStream::new(seed, &format!("init {}", spec.name));
            Ok((0..n).map(|_| (stream.normal() * std) as f32).collect())
        })
    }

    /// A model whose weights are supplied one after another, into empty parameters.
    pub(crate) fn from_weights(
        config: DecoderConfig,
        mut params: Params,
        mut values: impl FnMut(&Spec) -> Result<Vec<f32>, ModelError>,
    ) -> Result<Self, ModelError> {
        for spec in specs(&config) {
            spec.push(&config, &mut params, &values(&spec)?);
        }
        let weights = Weights::find(&config, &params);
        Ok(Self::assemble(config, params, weights))
    }
}
