//! A folder of tokens, mapped: where each document lies, and how long it is.

use std::path::Path;

use tutelage_corpus::{Manifest, read_manifest};
use tutelage_data::id_width;
use tutelage_run::{FileError, Hash, MappedFile};

use crate::MixError;
use crate::tokenize::{HELD_OUT, NAME};

/// Documents as tokens.
#[derive(Debug)]
pub(crate) struct TokenSource {
    pub(crate) name: String,
    pub(crate) manifests: Vec<Manifest>,
    files: Vec<MappedFile>,
    /// What is drawn from, and what is held out.
    pub(crate) documents: Documents,
    pub(crate) heldout: Documents,
    width: usize,
    pub(crate) vocab_size: usize,
    pub(crate) tokenizer: Hash,
    pub(crate) heldout_fraction: f64,
}

/// Where documents lie.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    /// The file in the highest 16 bits, the byte in it in the others.
    places: Vec<u64>,
    /// Ids of each.
    pub(crate) lengths: Vec<u32>,
    /// Ids of all.
    pub(crate) tokens: u64,
}

impl Documents {
    pub(crate) fn len(&self) -> usize {
        self.lengths.len()
    }
}

impl TokenSource {
    /// Opens folders that the stage `tokenize` has left, and compares their hashes.
    pub(crate) fn open<P: AsRef<Path>>(name: &str, folders: &[P]) -> Result<Self, MixError> {
        let mut source: Option<Self> = None;
        for folder in folders {
            let folder = folder.as_ref();
            let manifest = read_manifest(folder)?;
            let wrong = |found: &str| MixError::from(FileError::content(folder, found));
            if manifest.stage != NAME {
                return Err(wrong("holds no tokens"));
            }
            let setting = |name: &str| manifest.settings.get(name).cloned().unwrap_or_default();
            let tokenizer: Hash =
                serde_json::from_value(setting("tokenizer_hash")).map_err(|_| wrong("does not say its tokenizer"))?;
            let vocab_size =
                setting("vocab_size").as_u64().ok_or_else(|| wrong("does not say its vocabulary"))? as usize;
            let heldout_fraction = setting("heldout_fraction").as_f64().unwrap_or(0.0);
            let source = source.get_or_insert_with(|| Self {
                name: name.to_owned(),
                manifests: Vec::new(),
                files: Vec::new(),
                documents: Documents::default(),
                heldout: Documents::default(),
                width: id_width(vocab_size),
                vocab_size,
                tokenizer: tokenizer.clone(),
                heldout_fraction,
            });
            if source.tokenizer != tokenizer {
                return Err(wrong("was made by another tokenizer than the folders before it"));
            }
            for output in &manifest.outputs {
                let path = folder.join(&output.file);
                source.scan(MappedFile::open_known(&path, &output.hash, "make that stage again")?)?;
            }
            source.manifests.push(manifest);
        }
        source.ok_or_else(|| MixError::request(format!("the source '{name}' has no inputs")))
    }

    fn scan(&mut self, file: MappedFile) -> Result<(), MixError> {
        let number = self.files.len() as u64;
        let wrong = |found: &str| MixError::from(FileError::content(file.path(), found));
        if number >= 1 << 16 {
            return Err(wrong("is one file too many: a source has up to 65,536; bring them together first"));
        }
        let (mut at, bytes) = (0, file.bytes());
        while at < bytes.len() {
            let head = bytes[at..].first_chunk::<4>().ok_or_else(|| wrong("ends within a document"))?;
            let n = u32::from_le_bytes(*head);
            let len = n & !HELD_OUT;
            let documents = if n & HELD_OUT == 0 { &mut self.documents } else { &mut self.heldout };
            documents.places.push(number << 48 | at as u64);
            documents.lengths.push(len);
            documents.tokens += u64::from(len);
            at += 8 + len as usize * self.width;
        }
        if at != bytes.len() {
            return Err(wrong("ends within a document"));
        }
        self.files.push(file);
        Ok(())
    }

    /// A document's record, and what follows it.
    fn record(&self, documents: &Documents, document: usize) -> &[u8] {
        let place = documents.places[document];
        &self.files[(place >> 48) as usize].bytes()[(place & ((1 << 48) - 1)) as usize..]
    }

    /// Bytes of a document's text.
    pub(crate) fn text_bytes(&self, documents: &Documents, document: usize) -> usize {
        let bytes = self.record(documents, document)[4..].first_chunk::<4>();
        bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes)) as usize
    }

    /// The ids of a document.
    pub(crate) fn ids(&self, documents: &Documents, document: usize, ids: &mut Vec<u32>) {
        let own = &self.record(documents, document)[8..8 + documents.lengths[document] as usize * self.width];
        ids.clear();
        match self.width {
            2 => ids.extend(own.as_chunks::<2>().0.iter().map(|id| u32::from(u16::from_le_bytes(*id)))),
            _ => ids.extend(own.as_chunks::<4>().0.iter().map(|id| u32::from_le_bytes(*id))),
        }
    }
}
