//! Who may use whom.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use toml::{Table, Value};

/// Compares every crate's manifest with `layers.toml`.
pub(crate) fn check(root: &Path) -> Result<()> {
    let layers = read(&root.join("xtask/layers.toml"))?;
    let mut faults = faults_of_table(&layers);
    let mut seen = BTreeMap::new();
    for entry in std::fs::read_dir(root.join("crates"))? {
        let folder = entry?.path();
        let manifest = read(&folder.join("Cargo.toml"))?;
        let name = manifest["package"]["name"].as_str().unwrap_or_default().to_owned();
        if folder.file_name().and_then(|n| n.to_str()) != Some(&name) {
            faults.push(format!("crate {name} lies in {}", folder.display()));
        }
        let room = name.trim_start_matches("tutelage-").to_owned();
        faults.extend(faults_of_crate(&room, &manifest, &layers));
        seen.insert(room, ());
    }
    for room in layers.keys().filter(|room| !seen.contains_key(*room)) {
        faults.push(format!("layers.toml names '{room}', which is no crate"));
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    println!("deps: {} crates keep their directions", seen.len());
    Ok(())
}

fn read(path: &Path) -> Result<Table> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    text.parse().with_context(|| path.display().to_string())
}

fn layer(layers: &Table, room: &str) -> Option<i64> {
    layers.get(room)?.get("layer")?.as_integer()
}

fn uses<'a>(layers: &'a Table, room: &str) -> Vec<&'a str> {
    let list = layers.get(room).and_then(|row| row.get("uses")).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}

fn faults_of_table(layers: &Table) -> Vec<String> {
    let mut faults = Vec::new();
    for room in layers.keys() {
        for used in uses(layers, room) {
            if layer(layers, used) >= layer(layers, room) {
                faults.push(format!("layers.toml: {room} may not use {used}, which is not below it"));
            }
        }
    }
    faults
}

fn faults_of_crate(room: &str, manifest: &Table, layers: &Table) -> Vec<String> {
    let Some(own) = layer(layers, room) else {
        return vec![format!("crate {room} is not in xtask/layers.toml")];
    };
    let ours = |section: &str| -> Vec<String> {
        let table = manifest.get(section).and_then(Value::as_table);
        let names = table.into_iter().flat_map(Table::keys);
        names.filter_map(|name| name.strip_prefix("tutelage-")).map(str::to_owned).collect()
    };
    let mut faults = Vec::new();
    for used in ours("dependencies") {
        if !uses(layers, room).contains(&used.as_str()) {
            faults.push(format!("{room} uses {used}, which its row in xtask/layers.toml does not name"));
        }
    }
    for used in ours("dev-dependencies") {
        if used != "testkit" && layer(layers, &used).is_none_or(|layer| layer >= own) {
            faults.push(format!("tests of {room} use {used}, which is not below it"));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        text.parse().unwrap()
    }

    #[test]
    fn a_crate_outside_its_row_is_found() {
        let layers = table("[run]\nlayer = 0\nuses = []\n[data]\nlayer = 1\nuses = []\n");
        let manifest = table("[dependencies]\ntutelage-run.workspace = true\n");
        assert_eq!(faults_of_crate("data", &manifest, &layers).len(), 1);
        assert!(faults_of_crate("data", &table(""), &layers).is_empty());
        assert_eq!(faults_of_crate("other", &table(""), &layers).len(), 1);
    }

    #[test]
    fn a_table_that_points_upward_is_found() {
        let layers = table("[run]\nlayer = 0\nuses = [\"data\"]\n[data]\nlayer = 1\nuses = [\"run\"]\n");
        assert_eq!(faults_of_table(&layers).len(), 1);
    }
}
