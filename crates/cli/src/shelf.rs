//! The models of this machine, as they are served: the built-in one, and what the models folder holds now.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use tollgate_base::Result;
use tollgate_config::{BUILT_IN_MODEL, Config, EngineSettings};
use tollgate_engine::{Engine, Room};
use tollgate_gateway::{LocalModels, ModelFile, Shared};
use tollgate_hub::{Installed, Store};

/// How often the folder is looked at while the service runs.
const LOOK: Duration = Duration::from_secs(2);

/// The models of this configuration. Those that `before` had and that are still there keep their engines.
pub(crate) fn models(config: &Config, before: &LocalModels) -> LocalModels {
    let files = files(&config.data_dir).unwrap_or_else(|error| {
        tracing::error!("the models folder could not be read: {error}");
        before.files().cloned().collect()
    });
    of(config, files, before)
}

fn of(config: &Config, files: Vec<ModelFile>, before: &LocalModels) -> LocalModels {
    LocalModels::new(
        config.built_in_model,
        files,
        &options(&config.engine),
        before,
    )
}

fn options(settings: &EngineSettings) -> tollgate_engine::Options {
    let EngineSettings {
        memory,
        threads,
        window,
        cache,
        parallel,
        queue,
        idle,
    } = settings;
    tollgate_engine::Options {
        threads: *threads,
        window: Some(*window),
        cache: *cache,
        parallel: *parallel,
        queue: *queue,
        idle: *idle,
        room: Room::new(memory.unwrap_or_else(usual_memory)),
    }
}

/// Three quarters of what this machine, or this container, has.
fn usual_memory() -> u64 {
    let read = |path| std::fs::read_to_string(path).ok();
    let machine = read("/proc/meminfo").and_then(|text| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:"))?;
        let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        kib.checked_mul(1024)
    });
    let container = [
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ]
    .into_iter()
    .filter_map(|path| read(path)?.trim().parse::<u64>().ok());
    let least = machine.into_iter().chain(container).min();
    least.map_or(u64::MAX, |bytes| bytes / 4 * 3)
}

/// One model alone, for a subcommand: by a name of its own, or a file.
pub(crate) fn engine(model: &str, data_dir: &Path) -> Result<Engine> {
    if model == BUILT_IN_MODEL {
        return Ok(Engine::builtin());
    }
    let path = Path::new(model);
    if path.is_file() {
        return Ok(Engine::from_file(path.to_owned(), model.to_owned()));
    }
    let found = Store::new(data_dir).find(model)?;
    Ok(Engine::from_file(found.path.clone(), model.to_owned()))
}

/// Looks for models that come and go, and takes them over, for as long as the service runs.
pub(crate) async fn keep_up(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let shared = shared.clone();
        // A disk may take a moment: no other task of this thread waits for it.
        let looked = tokio::task::spawn_blocking(move || look(&shared)).await;
        match looked {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!("the models folder could not be read: {error}"),
            Err(_) => tracing::error!("looking at the models folder failed; it is tried again"),
        }
    }
}

fn look(shared: &Shared) -> Result<()> {
    let now = files(&shared.snapshot.load().config.data_dir)?;
    shared.snapshot.rcu(|snapshot| {
        let before = snapshot.local();
        if before.files().eq(&now) {
            return snapshot.clone();
        }
        let after = of(&snapshot.config, now.clone(), before);
        tell(before, &after);
        Arc::new(snapshot.with_local(after))
    });
    Ok(())
}

fn tell(before: &LocalModels, after: &LocalModels) {
    for file in after
        .files()
        .filter(|file| before.files().all(|other| other != *file))
    {
        tracing::info!(model = file.name, path = %file.path.display(), "a model of this machine can be called");
    }
    for file in before
        .files()
        .filter(|file| after.files().all(|other| other.name != file.name))
    {
        tracing::info!(model = file.name, "a model of this machine is gone");
    }
}

/// What the models folder holds, in the order of the names that are served. Of a model that was pulled more than once
/// the newest counts.
fn files(data: &Path) -> Result<Vec<ModelFile>> {
    let mut installed = Store::new(data).list()?;
    installed.retain(Installed::is_present);
    installed.dedup_by(|next, first| next.name() == first.name());
    let mut sharers: BTreeMap<String, usize> = BTreeMap::new();
    let is_free = |name: &String| name != BUILT_IN_MODEL;
    for name in installed
        .iter()
        .filter_map(|model| model.names().into_iter().next())
    {
        *sharers.entry(name).or_default() += 1;
    }
    let mut files: Vec<ModelFile> = installed
        .iter()
        .map(|model| {
            let mut aliases = model.names();
            aliases.retain(is_free);
            let is_alone = |name: &String| sharers.get(name) == Some(&1);
            let at = aliases
                .iter()
                .position(is_alone)
                .unwrap_or(aliases.len().saturating_sub(1));
            ModelFile {
                name: aliases.remove(at),
                aliases,
                path: model.path.clone(),
                digest: model.manifest.sha256.clone(),
            }
        })
        .collect();
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}
