//! Threads and instructions, chosen outside the recipe.

use tutelage_tensor::{Device, Isa};

use crate::RecipeError;

/// What to compute with. No result depends on the number of threads.
#[derive(Debug, Clone, Default)]
pub struct EngineChoice {
    /// Number of threads; the machine's cores if not given.
    pub threads: Option<usize>,
    /// Name of an instruction set; the fastest the machine has if not given.
    pub isa: Option<String>,
}

impl EngineChoice {
    /// The device.
    ///
    /// # Errors
    /// When the instruction set is unknown or not available here.
    pub fn device(&self) -> Result<Device, RecipeError> {
        Ok(Device::cpu(self.threads(), self.isa()?)?)
    }

    /// The number of threads.
    pub fn threads(&self) -> usize {
        self.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
    }

    /// The instruction set.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn isa(&self) -> Result<Isa, RecipeError> {
        Ok(match &self.isa {
            Some(name) => name.parse()?,
            None => Isa::detect(),
        })
    }
}
