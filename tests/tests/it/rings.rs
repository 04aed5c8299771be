//! The modules of a crate do not import each other in a cycle: each can be read with what is below it, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use crate::layers::{files, without_tests};

/// Every crate of the workspace.
const CRATES: [&str; 8] = [
    "core/src",
    "api/src",
    "worker/src",
    "dev/src",
    "dev/stripe-simulator/src",
    "chaos/src",
    "bench/src",
    "tests/src",
];

/// Which modules of a crate each of its modules names.
type Imports = BTreeMap<String, BTreeSet<String>>;

/// The module of the crate's root that a file belongs to, or `None` for the root itself.
fn module_of(file: &str, folder: &str) -> Option<String> {
    let path = file.strip_prefix(folder)?.strip_prefix('/')?;
    let first = path.split('/').next()?;
    let name = first.strip_suffix(".rs").unwrap_or(first);
    (!matches!(name, "lib" | "main")).then(|| name.to_owned())
}

/// The modules that a text names as `crate::name`, alone or in a group.
fn named(text: &str) -> BTreeSet<String> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    let mut names = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        match rest.strip_prefix('{') {
            Some(group) => {
                let mut depth = 0;
                let mut top = String::new();
                for c in group.chars() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        _ if depth == 0 => top.push(c),
                        _ => {}
                    }
                }
                names.extend(top.split(',').map(|item| {
                    item.trim()
                        .chars()
                        .take_while(|c| is_word(*c))
                        .collect::<String>()
                }));
            }
            None => {
                names.insert(rest.chars().take_while(|c| is_word(*c)).collect());
            }
        }
    }
    names
}

fn imports(folder: &str) -> Imports {
    let mut imports = Imports::new();
    let is_code = |name: &str| {
        name.ends_with(".rs")
            && !name.contains("/tests/")
            && !name.ends_with("/tests.rs")
            && !name.ends_with("/testing.rs")
    };
    for (file, text) in files(folder) {
        if let Some(module) = module_of(&file, folder).filter(|_| is_code(&file)) {
            imports
                .entry(module)
                .or_default()
                .extend(named(&without_tests(&text)));
        }
    }
    let modules: BTreeSet<String> = imports.keys().cloned().collect();
    for (module, names) in &mut imports {
        names.retain(|name| name != module && modules.contains(name));
    }
    imports
}

/// What is left after repeatedly removing every module that names none of the others.
fn rings(mut imports: Imports) -> Imports {
    loop {
        let modules: BTreeSet<String> = imports.keys().cloned().collect();
        for names in imports.values_mut() {
            names.retain(|name| modules.contains(name));
        }
        let before = imports.len();
        imports.retain(|_, names| !names.is_empty());
        if imports.len() == before {
            return imports;
        }
    }
}

#[test]
fn a_ring_is_found_and_what_leads_to_it_is_not_blamed_for_what_is_below() {
    let import = |module: &str, names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        (module.to_owned(), names)
    };
    let straight = Imports::from([import("a", &["b", "c"]), import("b", &["c"]), import("c", &[])]);
    assert!(rings(straight).is_empty());
    let round = Imports::from([
        import("a", &["b"]),
        import("b", &["c"]),
        import("c", &["b", "d"]),
        import("d", &[]),
    ]);
    assert_eq!(rings(round).keys().collect::<Vec<_>>(), ["a", "b", "c"]);
    let text = "use crate::{one, two::{self, Three}};\nlet x = crate::four::five();\n// crate::six\n";
    let names: Vec<String> = named(text).into_iter().collect();
    assert_eq!(names, ["four", "one", "two"]);
}

#[test]
fn no_modules_import_each_other_in_a_ring() {
    for folder in CRATES {
        let imports = imports(folder);
        assert!(!imports.is_empty(), "{folder} has no modules");
        let ring = rings(imports);
        assert!(ring.is_empty(), "{folder}: {ring:#?}");
    }
}
