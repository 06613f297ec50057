//! Documents to token shards, and shards to packed sets.

use std::path::Path;
use std::sync::Arc;

use tutelage_corpus::InputFiles;
use tutelage_data::{PackedSet, Packing, SHARD_ENDINGS, Shard, ShardManifest, ShardWriter, Split, Tail};
use tutelage_run::{Event, Hasher, link_or_copy, read_json};

use super::session::{Flow, Made, Session};
use super::tokenizer::RunTokenizer;
use crate::RecipeError;
use crate::documents::{Document, Documents};

/// Both parts of the corpus, packed.
pub(super) struct Packed {
    pub(super) train: PackedSet,
    pub(super) heldout: PackedSet,
}

impl Session<'_> {
    pub(super) fn shards(&mut self, tokenizer: &RunTokenizer) -> Result<Flow<Packed>, RecipeError> {
        let spec = &self.plan.recipe.spec;
        let folder = self.folder.join("shards");
        let documents = self.documents_fingerprint()?;
        let routed = format!("{:?}", spec.data.route_field);
        let fingerprint = self.fingerprint("shards", &[&documents, &tokenizer.hash.to_string(), &routed]);
        let flow = self.stage("shards", &folder, fingerprint, |session, folder| {
            let total = session.plan.corpus.documents;
            session.started("shards", "documents to tokens", Some(total));
            let made = match &session.plan.corpus.mixed {
                Some(mixed) => Flow::Done(
                    [(&mixed.train, "train"), (&mixed.heldout, "heldout")]
                        .map(|(stem, name)| link_shard(stem, &folder.join(name))),
                ),
                None => session.tokenize(tokenizer, folder)?,
            };
            let Flow::Done([train, heldout]) = made else { return Ok(Flow::Stopped) };
            let (train, heldout) = (train?, heldout?);
            let output = Hasher::default()
                .part(train.bin.to_string().as_bytes())
                .part(heldout.bin.to_string().as_bytes())
                .part(format!("{:?} {:?}", train.route, heldout.route).as_bytes())
                .finish();
            let result = format!("{} and held out {}", describe(&train), describe(&heldout));
            Ok(Flow::Done(Made { output, result, seconds: None }))
        })?;
        let Flow::Done(_) = flow else { return Ok(Flow::Stopped) };
        let open = |name: &str| Shard::open(&folder.join(name)).map(Arc::new);
        let train = match spec.data.packing {
            Packing::Stream => PackedSet::new(open("train")?, spec.data.seq_len, Some(spec.seed), Tail::Drop)?,
            Packing::BestFit => PackedSet::best_fit(open("train")?, spec.data.seq_len, Some(spec.seed))?,
        };
        let heldout = PackedSet::new(open("heldout")?, spec.data.seq_len, None, Tail::Keep)?;
        Ok(Flow::Done(Packed { train, heldout }))
    }

    fn tokenize(&mut self, tokenizer: &RunTokenizer, folder: &Path) -> Result<Flow<[Manifested; 2]>, RecipeError> {
        let vocab_size = tokenizer.tokenizer.vocab_size();
        let open = |name: &str| ShardWriter::create(&folder.join(name), tokenizer.hash.clone(), vocab_size);
        let (mut train, mut heldout) = (open("train")?, open("heldout")?);
        let (mut encoder, mut ids) = (tokenizer.tokenizer.encoder(), Vec::new());
        let data = &self.plan.recipe.spec.data;
        if let Some(note) = InputFiles::of(&data.documents)?.left_out_note() {
            self.observer.event(&Event::Note(&note));
        }
        for (done, document) in (1..).zip(Documents::of(data).read()?) {
            if self.stop.is_raised() {
                return Ok(Flow::Stopped);
            }
            let Document { text, route } = document?;
            ids.clear();
            encoder.encode_document(&text, &mut ids)?;
            let part = match Split::of(&text, data.heldout_fraction) {
                Split::Train => &mut train,
                Split::HeldOut => &mut heldout,
            };
            match route {
                None => part.push(&ids, text.len())?,
                Some(route) => part.push_routed(&ids, text.len(), &route)?,
            }
            self.observer.event(&Event::Progress { done, note: "" });
        }
        Ok(Flow::Done([train, heldout].map(|writer| Ok(writer.finish()?))))
    }
}

type Manifested = Result<ShardManifest, RecipeError>;

/// A shard under another name.
fn link_shard(from: &Path, to: &Path) -> Manifested {
    let manifest: ShardManifest = read_json(&from.with_extension("json"))?;
    for ending in SHARD_ENDINGS {
        link_or_copy(&from.with_extension(ending), &to.with_extension(ending))?;
    }
    Ok(manifest)
}

fn describe(manifest: &ShardManifest) -> String {
    format!("{} tokens of {} documents", manifest.tokens, manifest.documents)
}
