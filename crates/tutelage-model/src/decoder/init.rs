//! First values.

use std::convert::Infallible;

use tutelage_run::RandomStream;
use tutelage_tensor::{Device, Params, Precision};

use super::weights::{Role, Weights};
use super::{Decoder, DecoderConfig, Stored, fuse, part_rows};
use crate::ModelError;

impl Decoder {
    /// A new model: norms at one; every matrix normal with deviation `init_std`, except those that write into
    /// the residual stream (`wo`, `w2`), which are smaller by `sqrt(2 * n_layers)` so that its variance does
    /// not grow with depth (the GPT-2 scheme). Each weight has its own random stream, named after it, so a
    /// weight's first values depend on the seed, its name and its deviation alone.
    ///
    /// # Errors
    /// When the sizes make no model.
    pub fn random(config: DecoderConfig, device: &Device, precision: Precision, seed: u64) -> Result<Self, ModelError> {
        Self::random_in(config, Params::new(device, precision), seed)
    }

    /// The same weights, kept for inference alone, see [`Params::frozen`].
    ///
    /// # Errors
    /// When the sizes make no model.
    pub fn random_frozen(
        config: DecoderConfig,
        device: &Device,
        precision: Precision,
        seed: u64,
    ) -> Result<Self, ModelError> {
        Self::random_in(config, Params::frozen(device, precision), seed)
    }

    fn random_in(config: DecoderConfig, mut params: Params, seed: u64) -> Result<Self, ModelError> {
        config.validate()?;
        let residual_std = config.init_std / (2.0 * config.n_layers as f64).sqrt();
        let weights = Weights::create(&config, &mut params, |name, shape, role| {
            let n = shape.iter().product();
            let std = match role {
                Role::Norm => return Ok::<_, Infallible>(vec![1.0; n]),
                Role::Embedding | Role::Inner | Role::Head => config.init_std,
                Role::Residual => residual_std,
            };
            let mut stream = RandomStream::new(seed, &format!("init {name}"));
            Ok((0..n).map(|_| (stream.normal() * std) as f32).collect())
        });
        let Ok(weights) = weights;
        Ok(Self::assemble(config, params, weights))
    }

    /// A model whose weights `values(name, shape)` supplies, under the family's names, into empty parameters.
    pub(crate) fn from_stored<E>(
        config: DecoderConfig,
        mut params: Params,
        mut values: impl FnMut(&str, &[usize]) -> Result<Vec<f32>, E>,
    ) -> Result<Self, E> {
        let weights = Weights::create(&config, &mut params, |name, shape, _| match config.family.stored(name) {
            Stored::Whole(name) => values(&name, shape),
            Stored::Parts([q, k, v]) => {
                let [q_shape, k_shape, v_shape] = part_rows(&config).map(|rows| [rows, config.d_model]);
                let parts = [values(&q, &q_shape)?, values(&k, &k_shape)?, values(&v, &v_shape)?];
                Ok(fuse(&config, &parts))
            }
        })?;
        Ok(Self::assemble(config, params, weights))
    }
}
