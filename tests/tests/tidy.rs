//! The rules of the house that a program can check: how files begin and how long they are, where `unsafe` stands, which
//! module may use which, and that the guides name everything there is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The crates that are published.
const CRATES: [&str; 4] = ["runloop", "timer-source", "socket-source", "messageport"];
/// Everything that holds source files.
const PACKAGES: [&str; 7] = [
    "runloop",
    "timer-source",
    "socket-source",
    "messageport",
    "examples",
    "tests",
    "benches",
];
/// The files that may say `unsafe`, and the one of the tests that forks.
const UNSAFE_FILES: [&str; 5] = [
    "runloop/src/sys/poller.rs",
    "runloop/src/sys/fork.rs",
    "messageport/src/ring/memory.rs",
    "messageport/src/pidfd.rs",
    "tests/src/process.rs",
];
/// The examples that are more than one idea.
const WHOLE_PROGRAMS: [&str; 4] = [
    "http_server.rs",
    "log_hub.rs",
    "tls_client.rs",
    "tls_server.rs",
];
const LINES_MAX: usize = 400;
const MAP_LINES_MAX: usize = 200;

fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the workspace").to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every source file below a directory, by its path from the root of the workspace, with its text.
fn sources(below: &str) -> BTreeMap<String, String> {
    fn walk(path: &Path, found: &mut BTreeMap<String, String>) {
        let Ok(entries) = fs::read_dir(path) else {
            return;
        };
        for entry in entries {
            let path = entry.expect("a directory can be read").path();
            if path.is_dir() && !path.ends_with("target") {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).expect("it is below the root");
                let text = fs::read_to_string(&path).expect("a source file can be read");
                found.insert(name.to_str().expect("a plain name").to_owned(), text);
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(&root().join(below), &mut found);
    assert!(!found.is_empty(), "{below} has source files");
    found
}

fn all_sources() -> BTreeMap<String, String> {
    PACKAGES.into_iter().flat_map(sources).collect()
}

/// A line without its comment. A string that holds two slashes is cut too, which does no harm here.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

/// The words of a line of code.
fn words(line: &str) -> impl Iterator<Item = &str> {
    code(line).split(|c: char| !c.is_alphanumeric() && c != '_')
}

/// The bad lines of all files, as a list that fails the test unless it is empty.
fn expect_none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

#[test]
fn every_file_opens_with_what_it_is_for() {
    let opens = |text: &str| {
        let first = text.lines().next().unwrap_or_default();
        first.starts_with("//! ") || first.starts_with("#![doc = include_str!(")
    };
    let bad: Vec<_> = all_sources()
        .into_iter()
        .filter(|(_, text)| !opens(text))
        .map(|(path, _)| path)
        .collect();
    expect_none("a file opens with `//!`", &bad);
}

#[test]
fn no_file_is_longer_than_four_hundred_lines() {
    let bad: Vec<_> = all_sources()
        .into_iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(path, lines)| format!("{path}: {lines}"))
        .collect();
    expect_none("a file is split before it grows so long", &bad);
}

#[test]
fn nothing_is_left_for_later() {
    // Put together here, so that this file does not find itself.
    let marks = [["TO", "DO"], ["FIX", "ME"], ["X", "XX"]].map(|parts| parts.concat());
    let macros = [["to", "do!"], ["unimple", "mented!"], ["d", "bg!"]].map(|parts| parts.concat());
    let mut bad = Vec::new();
    for (path, text) in all_sources() {
        for (number, line) in (1..).zip(text.lines()) {
            let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '!');
            let marked = words.any(|word| marks.iter().chain(&macros).any(|mark| word == mark));
            if marked {
                bad.push(format!("{path}:{number}: {}", line.trim()));
            }
        }
    }
    expect_none("what is not done is not in the source", &bad);
}

#[test]
fn unsafe_stands_in_the_named_files_only() {
    let mut bad = Vec::new();
    let mut used = BTreeSet::new();
    for (path, text) in all_sources() {
        for (number, line) in (1..).zip(text.lines()) {
            // What stands between quotes is text.
            let plain: String = line.split('"').step_by(2).collect();
            if !words(&plain).any(|word| word == "unsafe") {
                continue;
            }
            if UNSAFE_FILES.contains(&path.as_str()) {
                used.insert(path.clone());
            } else {
                bad.push(format!("{path}:{number}: {}", line.trim()));
            }
        }
    }
    expect_none("`unsafe` has its files", &bad);
    let needed: BTreeSet<String> = UNSAFE_FILES.map(str::to_owned).into();
    assert_eq!(used, needed, "every file that may say `unsafe` needs to");
}

/// The top modules of a crate in the order of its `lib.rs`, and what its root re-exports from which of them.
fn modules(lib: &str) -> (Vec<String>, BTreeMap<String, String>) {
    let (mut order, mut exports) = (Vec::new(), BTreeMap::new());
    let code: String = lib.lines().map(code).collect::<Vec<_>>().join(" ");
    for statement in code.split(';') {
        let statement = statement.trim();
        let declared = statement.rsplit_once("mod ").filter(|(before, _)| {
            before.is_empty() || before.ends_with("pub ") || before.ends_with("] ")
        });
        if let Some((_, name)) = declared {
            order.push(name.trim().to_owned());
        } else if let Some((_, path)) = statement.rsplit_once("pub use ") {
            let module = path.split("::").next().unwrap_or_default().to_owned();
            for item in words(path).filter(|word| !word.is_empty()) {
                exports.insert(item.to_owned(), module.clone());
            }
        }
    }
    (order, exports)
}

/// The first names of all paths that begin at the root of the crate, `use crate::{a::x, b::y}` included.
fn roots(text: &str) -> BTreeSet<String> {
    let code: String = text.lines().map(code).collect::<Vec<_>>().join(" ");
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            found.extend(words(rest).next().map(str::to_owned));
            continue;
        };
        let (mut depth, mut begins) = (1, true);
        for word in group.split_inclusive(['{', '}', ',']) {
            if depth == 1 && begins {
                found.extend(words(word.trim()).next().map(str::to_owned));
            }
            begins = word.ends_with(',') && depth == 1 || word.ends_with('}') && depth == 2;
            match word.chars().last() {
                Some('{') => depth += 1,
                Some('}') => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

/// Uses that point down the list of modules. Without any there is no circle either.
fn uses_of_later_modules(name: &str) -> Vec<String> {
    let files = sources(&format!("{name}/src"));
    let (order, exports) = modules(&files[&format!("{name}/src/lib.rs")]);
    assert!(!order.is_empty(), "{name} has modules");
    let place = |module: &str| order.iter().position(|other| other == module);
    let mut bad = Vec::new();
    for (path, text) in &files {
        let below = path
            .strip_prefix(&format!("{name}/src/"))
            .expect("it is there");
        let module = below.split(['/', '.']).next().expect("a name");
        // What tests use says nothing about the crate.
        let Some(own) = place(module).filter(|_| !below.contains("tests")) else {
            continue;
        };
        for used in roots(text) {
            let used = exports.get(&used).unwrap_or(&used);
            if place(used).is_some_and(|used| used > own) {
                bad.push(format!("{path} uses {used}"));
            }
        }
    }
    bad
}

#[test]
fn no_module_uses_one_further_down_so_there_are_no_circles() {
    let bad: Vec<_> = CRATES.into_iter().flat_map(uses_of_later_modules).collect();
    expect_none(
        "the modules of `lib.rs` are in the order of their use",
        &bad,
    );
}

#[test]
fn the_check_of_the_modules_sees_every_form_of_a_path() {
    let text = "use crate::one::Thing;\nuse crate::{two::{A, B}, three, four::C};\n// crate::comment\nlet x = crate::five::f();\n$crate::six";
    let expected = ["five", "four", "one", "three", "two"].map(str::to_owned);
    assert_eq!(roots(text), expected.into(), "each first name");
    let (order, exports) = modules("mod a;\npub mod b;\n#[cfg(x)] mod c;\npub use a::{X, y::Z};");
    assert_eq!(order, ["a", "b", "c"], "in their order");
    assert_eq!(exports["Z"], "a", "by the module they come from");
}

/// The names of the dependencies of a package, those for tests included.
fn dependencies(name: &str) -> BTreeSet<String> {
    let manifest = read(&format!("{name}/Cargo.toml"));
    let mut inside = false;
    let mut found = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.contains("dependencies");
        } else if inside {
            let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
            found.insert(name.to_owned());
        }
    }
    found
}

#[test]
fn leaves_depend_on_the_loop_and_on_no_other_leaf() {
    let bad: Vec<_> = CRATES
        .into_iter()
        .flat_map(|name| {
            let needed = dependencies(name);
            let wrong = move |other: &&str| {
                needed.contains(*other) && (name == "runloop" || *other != "runloop")
            };
            CRATES.into_iter().filter(wrong).map(move |o| (name, o))
        })
        .map(|(name, other)| format!("{name} depends on {other}"))
        .collect();
    expect_none("arrows go one way", &bad);
    for name in &CRATES[1..] {
        let needed = dependencies(name);
        assert!(needed.contains("runloop"), "{name} is a leaf: {needed:?}");
    }
}

#[test]
fn the_loop_names_no_leaf() {
    let leaves = ["timer_source", "socket_source", "messageport"];
    let mut bad = Vec::new();
    for (path, text) in sources("runloop/src") {
        for (number, line) in (1..).zip(text.lines()) {
            if words(line).any(|word| leaves.contains(&word)) {
                bad.push(format!("{path}:{number}: {}", line.trim()));
            }
        }
    }
    expect_none("the core knows no timer, no socket and no port", &bad);
}

#[test]
fn the_map_names_every_source_file() {
    let map = read("ARCHITECTURE.md");
    let lines = map.lines().count();
    assert!(lines <= MAP_LINES_MAX, "the map has {lines} lines");
    let mut bad = Vec::new();
    for name in CRATES {
        for path in sources(&format!("{name}/src")).into_keys() {
            let below = path
                .strip_prefix(&format!("{name}/src/"))
                .expect("it is there");
            let file = below.rsplit('/').next().expect("a file");
            let test = below.contains("tests") || below.ends_with("model.rs");
            let named = [below, file].map(|name| map.contains(&format!("{name}`")));
            if !test && !named.contains(&true) {
                bad.push(path);
            }
        }
    }
    expect_none("ARCHITECTURE.md says what each file is for", &bad);
}

#[test]
fn the_list_of_examples_names_each_of_them() {
    let list = read("examples/README.md");
    let mut bad = Vec::new();
    for (path, text) in sources("examples") {
        if path.contains("/tests/") || path.ends_with("lib.rs") {
            continue;
        }
        let file = path.rsplit('/').next().expect("a file");
        if !list.contains(&format!("({file})")) {
            bad.push(format!("{path} is not in the list"));
        }
        let most = if WHOLE_PROGRAMS.contains(&file) {
            150
        } else {
            80
        };
        let lines = text.lines().count();
        if lines >= most {
            bad.push(format!("{path} has {lines} lines: fewer than {most} do"));
        }
    }
    expect_none("examples/README.md shows the way to each", &bad);
}
