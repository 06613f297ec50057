//! Every command and flag.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::data::DataCommand;
use crate::generate::GenerateArgs;
use crate::model::Dtype;
use crate::serve::ServeArgs;
use crate::tokenizer::TokenizerCommand;

/// Train and distil language models: from raw text to an evaluated student.
#[derive(Debug, Parser)]
#[command(version, after_help = "Exit codes: 0 done, 1 failed or interrupted, 2 the request was wrong.")]
pub(crate) struct Args {
    /// Number of threads [default: all cores]; results do not depend on it
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,

    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Carry out a whole recipe; the same command again goes on where it stopped
    #[command(after_help = "Examples:\n  tutelage run recipes/quickstart.toml\n  \
        tutelage run recipes/quickstart.toml --out runs/short --set training.student.steps=50\n  \
        tutelage run recipes/quickstart.toml --out runs/other --set runs.student-live.seeds=[1,2]")]
    Run {
        /// The recipe
        recipe: PathBuf,
        /// Run folder [default: runs/NAME of the recipe]
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// Override a setting of the recipe; may be given many times
        #[arg(long, value_name = "KEY=VALUE")]
        set: Vec<String>,
    },
    /// Print every stage with steps, tokens, parameters, FLOPs, memory and disk; trains nothing
    #[command(after_help = "Example:\n  tutelage plan recipes/quickstart.toml --set training.student.steps=50")]
    Plan {
        /// The recipe
        recipe: PathBuf,
        /// Override a setting of the recipe; may be given many times
        #[arg(long, value_name = "KEY=VALUE")]
        set: Vec<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the comparison of finished runs and write their report.html
    #[command(after_help = "Example:\n  tutelage report runs/quickstart")]
    Report {
        /// Run folders
        #[arg(required = true)]
        runs: Vec<PathBuf>,
        /// Print their summaries as a JSON list
        #[arg(long)]
        json: bool,
        /// Write their tables and claims as Markdown to this file
        #[arg(long, value_name = "FILE", conflicts_with = "json")]
        markdown: Option<PathBuf>,
    },
    /// Say what any file or folder of ours is, and whether it is whole
    #[command(after_help = "Examples:\n  tutelage inspect runs/quickstart\n  \
        tutelage inspect runs/quickstart/models/teacher/model")]
    Inspect {
        /// A file or folder
        path: PathBuf,
        /// Sequences at a time that memory is worked out for, for models
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        batch: u32,
        /// Tokens of a sequence that memory is worked out for
        #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u32).range(1..))]
        seq_len: u32,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Measure speed: the machine's ceilings, or whole training steps
    #[command(after_help = "Examples:\n  tutelage bench ceilings\n  tutelage bench step --shape s16m\n  \
        tutelage bench step --shape s16m-v92k --teacher live --json\n  \
        tutelage bench step --shape 256,4,4,2,768,4096,8,128")]
    Bench {
        /// What to measure
        #[command(subcommand)]
        what: Bench,
    },
    /// Write a model in another form: folders of other families and types, GGUF files, and back
    #[command(after_help = "Examples:\n  \
        tutelage convert SmolLM2-135M-Instruct.Q4_1.gguf --out models/smollm2\n  \
        tutelage convert runs/quickstart/models/student/model --out student-llama --family llama --dtype bf16\n  \
        tutelage convert student-llama --out student.gguf --dtype q8_0\n  \
        tutelage convert models/base --adapter runs/lora --out models/merged --dtype bf16\n\n\
        Another family is written where it computes the same; what it does not have is named.")]
    Convert {
        /// A model's folder, or a GGUF file
        input: PathBuf,
        /// The folder to write, or the GGUF file where the name ends in .gguf
        #[arg(long, value_name = "PATH")]
        out: PathBuf,
        /// LoRA adapters to merge into the weights: a folder as PEFT writes it
        #[arg(long, value_name = "DIR")]
        adapter: Option<PathBuf>,
        /// The family to write, by its model_type: llama, mistral, internlm2 ... [default: as it is]
        #[arg(long, value_name = "NAME")]
        family: Option<String>,
        /// Type of weights: f32, bf16, f16 in folders [default: f32]; f32, f16, bf16, q8_0 in GGUF files [default: f16]
        #[arg(long, value_name = "TYPE")]
        dtype: Option<String>,
        /// Most of a file of weights, such as 500MB [default: 5GB]
        #[arg(long, value_name = "SIZE", value_parser = size)]
        max_shard_size: Option<u64>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Prepare documents: read crawls and files, clean, drop duplicates; each stage by itself
    Data {
        /// What to do
        #[command(subcommand)]
        what: DataCommand,
    },
    /// Write a teacher's cache, alone or with others, look at what one costs, or check every bit of it
    Teacher {
        /// What to do
        #[command(subcommand)]
        what: TeacherCommand,
    },
    /// Build a tokenizer out of another, or look at what one makes of a text
    Tokenizer {
        /// What to do
        #[command(subcommand)]
        what: TokenizerCommand,
    },
    /// Continue texts with a model's folder or GGUF file, or chat with it
    #[command(after_help = "Examples:\n  tutelage generate runs/quickstart/models/teacher/model \
        --prompt \"And it came to pass\" --max-tokens 80\n  \
        tutelage generate SmolLM2-135M-Instruct.Q4_1.gguf --prompt \"The sea is\" --temperature 0\n  \
        tutelage generate SmolLM2-135M-Instruct.Q4_1.gguf --chat --prompt \"What is the capital of France?\"\n  \
        tutelage generate SmolLM2-135M-Instruct.Q4_1.gguf --chat\n  \
        tutelage generate models/smollm2 --file prompts.jsonl --out completions.jsonl --samples 4 --logprobs 5\n  \
        tutelage generate models/smollm2 --prompt \"A date:\" --regex \"[0-9]{4}-[0-9]{2}-[0-9]{2}\" --dtype int4\n  \
        tutelage generate models/large --draft models/small --prompt \"The sea is\"")]
    Generate(Box<GenerateArgs>),
    /// Serve models over HTTP, as OpenAI's clients expect it; with a chat page
    #[command(after_help = "Examples:\n  tutelage serve models/smollm2\n  \
        tutelage serve chat=SmolLM2-135M-Instruct.Q4_1.gguf runs/quickstart/models/student/model --port 9000\n  \
        tutelage serve models/smollm2 --host 0.0.0.0 --api-key-file keys.txt --access-log access.jsonl\n\n\
        The first Ctrl-C or SIGTERM lets what runs finish, the second ends at once. GET /openapi.json describes the API, \
        GET /metrics is for Prometheus.")]
    Serve(Box<ServeArgs>),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// What the machine can do at best: matrix products in registers, memory bandwidth
    Ceilings {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Every fused operation by itself, forward and backward: time, rates, percent of the machine's ceiling, and the
    /// naive reference's time
    Kernels {
        #[command(flatten)]
        shape: BenchShape,
        /// How often each is timed
        #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..))]
        repeats: u16,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Texts to tokens: the encoder of many texts beside the tokenizers library, on the same texts
    #[command(after_help = "Example:\n  tutelage bench encode --tokenizer models/smollm2 data/clean")]
    Encode {
        /// A model's folder, or a tokenizer's file
        #[arg(long, value_name = "PATH")]
        tokenizer: PathBuf,
        /// Files, folders of files, or folders that a stage wrote
        #[arg(required = true)]
        inputs: Vec<PathBuf>,
        /// Texts that are read, at most
        #[arg(long, default_value = "50MB", value_parser = size)]
        bytes: u64,
        /// How often each is timed
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
        repeats: u16,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Reading prompts and writing texts: tokens a second, and what of the memory's bandwidth
    #[command(after_help = "Examples:\n  tutelage bench generate --model models/smollm2\n  \
        tutelage bench generate --shape s110m --batch 1 --batch 32 --context 512")]
    Generate {
        /// A model's folder or GGUF file
        #[arg(long, value_name = "PATH", conflicts_with = "shape")]
        model: Option<PathBuf>,
        /// How to keep weights, and what to compute in
        #[arg(long, default_value = "bf16")]
        dtype: Dtype,
        /// A random model of this shape instead (its batch and length are not used)
        #[arg(long, required_unless_present = "model")]
        shape: Option<String>,
        /// Texts that are written together; may be given many times
        #[arg(long, default_values_t = [1, 8, 32], value_parser = clap::value_parser!(u16).range(1..=1024))]
        batch: Vec<u16>,
        /// Tokens before; may be given many times
        #[arg(long, default_values_t = [512], value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
        context: Vec<u32>,
        /// Steps that are timed
        #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u16).range(1..))]
        repeats: u16,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Whole training steps: forward, loss, backward, clip, AdamW
    Step {
        #[command(flatten)]
        shape: BenchShape,
        /// Experts in place of each feed-forward, and how many of them a token goes to, such as 8:2
        #[arg(long, value_name = "N:K", value_parser = experts)]
        experts: Option<(usize, usize)>,
        /// Who teaches: a model of twice the width, a cache of the 50 most likely entries, or a server that has the 20 most
        /// likely ready, so that what the client costs is seen
        #[arg(long, value_enum, default_value_t = BenchTeacher::None)]
        teacher: BenchTeacher,
        /// Distance to the teacher by its name in recipes, with its setting: jsd:0.5, skew_kl:0.1
        #[arg(long, value_name = "NAME[:VALUE]", default_value = "forward_kl")]
        divergence: String,
        /// What is compared inside of a live teacher and the student, in every block: hidden_mse, hidden_cosine, channels,
        /// attention_kl (the teacher then has wider heads, not more)
        #[arg(long, value_name = "NAMES", value_delimiter = ',')]
        features: Vec<String>,
        /// Steps that are timed
        #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..))]
        repeats: u16,
        /// Compute blocks again on the way back, to save memory
        #[arg(long)]
        recompute: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TeacherCommand {
    /// Write one cache of a recipe, and what it needs before; several processes may do so at once
    #[command(after_help = "Example, on each of several machines that share a folder:\n  \
        tutelage teacher cache recipes/quickstart.toml pd --out /shared/quickstart\n\n\
        The parts are written by whoever takes them; 'tutelage run' with the same --out goes on from there.")]
    Cache {
        /// The recipe
        recipe: PathBuf,
        /// Name of the cache in the recipe
        name: String,
        /// Run folder [default: runs/NAME of the recipe]
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// Override a setting of the recipe; may be given many times
        #[arg(long, value_name = "KEY=VALUE")]
        set: Vec<String>,
    },
    /// Decode every block of a cache and compare its checksums and numbers
    #[command(after_help = "Example:\n  tutelage teacher verify runs/quickstart/caches/pd")]
    Verify {
        /// The cache's folder
        cache: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Angles between gradients of truncated or sampled targets and that of a teacher's whole distribution
    #[command(
        after_help = "Example:\n  tutelage teacher angles runs/quickstart --student student-text --teacher teacher"
    )]
    Angles {
        /// A run folder with both models
        run: PathBuf,
        /// Name of the model that learns
        #[arg(long, value_name = "NAME")]
        student: String,
        /// Name of the model that teaches
        #[arg(long, value_name = "NAME")]
        teacher: String,
        /// Held-out sequences
        #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
        sequences: u16,
        /// Entries that are kept, with a tail and without
        #[arg(long, value_name = "K,K", value_delimiter = ',', default_values_t = [12, 50])]
        top_k: Vec<u16>,
        /// Draws
        #[arg(long, value_name = "N,N", value_delimiter = ',', default_values_t = [12, 50])]
        samples: Vec<u16>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// The texts of a capture of DistillKit's, which has ids alone, as a corpus for those it teaches
    #[command(after_help = "Example:\n  \
        tutelage teacher texts captures/qwen3-logits --tokenizer captures/qwen3 --out texts.jsonl\n\n\
        Documents whose text makes other ids (special tokens within them) are left out. Needs a program that was built with \
        --features parquet.")]
    Texts {
        /// The capture's folder: Parquet files, and compression_config.yaml
        capture: PathBuf,
        /// The teacher's tokenizer: a model's folder, or a file
        #[arg(long, value_name = "PATH")]
        tokenizer: PathBuf,
        /// File to write, JSON lines with the field 'text'
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Bytes a token, and where the bits go, beside entropy bounds
    #[command(after_help = "Example:\n  tutelage teacher stats runs/quickstart/caches/pd")]
    Stats {
        /// The cache's folder
        cache: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct BenchShape {
    /// A named shape (s16m, s16m-v92k, s40m, s110m, s110m-8k, quickstart), or
    /// D_MODEL,N_LAYERS,N_HEADS,N_KV_HEADS,D_FF,VOCAB_SIZE,BATCH_SIZE,SEQ_LEN
    #[arg(long, default_value = "s16m")]
    pub(crate) shape: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum BenchTeacher {
    None,
    Live,
    Cache,
    Remote,
}

/// Two numbers such as `8:2`.
fn experts(text: &str) -> Result<(usize, usize), String> {
    let numbers = text.split_once(':').and_then(|(n, k)| Some((n.parse().ok()?, k.parse().ok()?)));
    numbers.ok_or_else(|| "expected two numbers, as in 8:2".to_owned())
}

/// Bytes of a size such as `500MB` (powers of ten, as in file managers and Hugging Face's libraries).
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" | "B" => 1,
        "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return Err("expected a number with B, KB, MB or GB".to_owned()),
    };
    let number = digits.trim().parse::<u64>().ok().and_then(|n| n.checked_mul(unit)).filter(|&n| n > 0);
    number.ok_or_else(|| "expected a whole number, with B, KB, MB or GB".to_owned())
}
