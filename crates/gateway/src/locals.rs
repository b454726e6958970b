//! The models that this process answers with itself: which there are, under which names, and the engine of each.
//!
//! Which files there are is told from outside; nothing here reads a folder. A model that stays keeps its engine, so that
//! what is in memory and what runs goes on.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use tollgate_config::BUILT_IN_MODEL;
use tollgate_dialect::Dialect;
use tollgate_engine::{Engine, ModelKind, Options};

/// A file that can be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFile {
    /// The name under which it is listed, priced and booked.
    pub name: String,
    /// Other names that callers may use.
    pub aliases: Vec<String>,
    pub path: PathBuf,
    /// Tells this file from another that takes its place.
    pub digest: String,
}

/// A model of this machine.
#[derive(Debug)]
pub(crate) struct LocalModel {
    pub(crate) name: String,
    pub(crate) engine: Engine,
    /// What its file's head says it is for; `None` where that cannot be read.
    kind: Option<ModelKind>,
    /// `None` for the built-in one.
    file: Option<ModelFile>,
}

/// Every model of this machine, by each of its names.
#[derive(Clone, Debug, Default)]
pub struct LocalModels {
    models: BTreeMap<String, Arc<LocalModel>>,
    /// Further names, and whose they are: `None` where several models have one.
    aliases: BTreeMap<String, Option<Arc<LocalModel>>>,
    options: Options,
}

// === impl LocalModels ===

impl LocalModels {
    /// The built-in model, where it is on, and those of `files`. Where `options` say what those of `before` said, its models
    /// keep their engines and all share its memory.
    pub fn new(
        built_in: bool,
        files: Vec<ModelFile>,
        options: &Options,
        before: &LocalModels,
    ) -> Self {
        let nothing = LocalModels::default();
        let (before, options) = if options.says_the_same(&before.options) {
            (before, before.options.clone())
        } else {
            // One room, also while what ran before still runs.
            let room = &before.options.room;
            let is_same = room.most() == options.room.most();
            let room = if is_same { room } else { &options.room };
            let room = room.clone();
            (
                &nothing,
                Options {
                    room,
                    ..options.clone()
                },
            )
        };
        let built_in = built_in.then_some((BUILT_IN_MODEL.to_owned(), None));
        let files = files
            .into_iter()
            .map(|file| (file.name.clone(), Some(file)));
        let mut models = BTreeMap::new();
        for (name, file) in built_in.into_iter().chain(files) {
            let kept = before.models.get(&name).filter(|model| model.file == file);
            let model = kept
                .cloned()
                .unwrap_or_else(|| Arc::new(LocalModel::new(&name, file, options.clone())));
            // The built-in model keeps its name.
            models.entry(name).or_insert(model);
        }
        let aliases = aliases(&models);
        Self {
            models,
            aliases,
            options,
        }
    }

    /// The built-in model alone.
    pub fn built_in() -> Self {
        let nothing = LocalModels::default();
        Self::new(true, Vec::new(), &Options::default(), &nothing)
    }

    /// The one model that `name` stands for.
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<LocalModel>> {
        let alias = || self.aliases.get(name)?.as_ref();
        self.models.get(name).or_else(alias)
    }

    /// Whether several models have this name: it stands for none of them, and for nothing elsewhere.
    pub(crate) fn is_ambiguous(&self, name: &str) -> bool {
        !self.models.contains_key(name) && matches!(self.aliases.get(name), Some(None))
    }

    /// Each model once, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<LocalModel>> {
        self.models.values()
    }

    /// The files that are served.
    pub fn files(&self) -> impl Iterator<Item = &ModelFile> {
        self.iter().filter_map(|model| model.file.as_ref())
    }
}

fn aliases(
    models: &BTreeMap<String, Arc<LocalModel>>,
) -> BTreeMap<String, Option<Arc<LocalModel>>> {
    let mut found: BTreeMap<String, Option<Arc<LocalModel>>> = BTreeMap::new();
    for model in models.values() {
        let names = model.file.iter().flat_map(|file| &file.aliases);
        for name in names.filter(|name| !models.contains_key(*name)) {
            found
                .entry(name.clone())
                .and_modify(|other| *other = None)
                .or_insert_with(|| Some(model.clone()));
        }
    }
    found
}

// === impl LocalModel ===

impl LocalModel {
    fn new(name: &str, file: Option<ModelFile>, options: Options) -> Self {
        let engine = match &file {
            Some(file) => Engine::from_file_with(file.path.clone(), name.to_owned(), options),
            None => Engine::builtin_with(options),
        };
        Self {
            name: name.to_owned(),
            // Read now, where a disk may take a moment, and not when a call is planned. A call says what is wrong.
            kind: engine.describe().ok().map(|description| description.kind),
            engine,
            file,
        }
    }

    /// Whether it is a model for such calls. One whose file cannot be read serves all: the call then says what is wrong.
    pub(crate) fn serves(&self, dialect: Dialect) -> bool {
        match self.kind {
            Some(ModelKind::Embeds { .. }) => dialect.is_embeddings(),
            Some(ModelKind::Generates) => !dialect.is_embeddings(),
            None => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, aliases: &[&str], digest: &str) -> ModelFile {
        ModelFile {
            name: name.to_owned(),
            aliases: aliases.iter().map(|&name| name.to_owned()).collect(),
            path: PathBuf::from("/nowhere.gguf"),
            digest: digest.to_owned(),
        }
    }

    fn after(before: &LocalModels, files: Vec<ModelFile>) -> LocalModels {
        LocalModels::new(true, files, &Options::default(), before)
    }

    fn named<'a>(models: &'a LocalModels, name: &str) -> Option<&'a str> {
        models.get(name).map(|model| model.name.as_str())
    }

    #[test]
    fn a_name_of_two_models_stands_for_neither() {
        let files = vec![
            file("small-q4", &["owner/small", "owner/small:Q4_0"], "a"),
            file("small-q8", &["owner/small", "small-q4"], "b"),
        ];
        let models = after(&LocalModels::default(), files);
        assert_eq!(named(&models, "owner/small:Q4_0"), Some("small-q4"));
        assert_eq!(named(&models, "owner/small"), None);
        assert!(models.is_ambiguous("owner/small") && !models.is_ambiguous("small-q4"));
        assert_eq!(named(&models, "small-q4"), Some("small-q4"));
        assert_eq!(named(&models, BUILT_IN_MODEL), Some(BUILT_IN_MODEL));
        let off = LocalModels::new(false, Vec::new(), &Options::default(), &models);
        assert_eq!(off.iter().count(), 0);
    }

    #[test]
    fn a_model_that_stays_keeps_its_engine_and_another_file_gets_a_new_one() {
        let kept = file("a", &[], "1");
        let first = after(
            &LocalModels::default(),
            vec![kept.clone(), file("b", &[], "1")],
        );
        let files = vec![kept, file("b", &[], "2")];
        let second = after(&first, files.clone());
        let is_kept = |next: &LocalModels, name: &str| match (first.get(name), next.get(name)) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        };
        assert!(is_kept(&second, "a") && is_kept(&second, BUILT_IN_MODEL));
        assert!(!is_kept(&second, "b"));
        let other = Options {
            parallel: 3,
            ..Options::default()
        };
        let third = LocalModels::new(true, files, &other, &second);
        assert!(!is_kept(&third, "a"));
    }
}
