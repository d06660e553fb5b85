//! The list of behaviours and the tree agree: what the list names exists, what the tree cites is in the list, and nothing in
//! the list is without a test or a reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Everything that holds tests.
const PACKAGES: [&str; 6] = [
    "runloop",
    "timer-source",
    "socket-source",
    "messageport",
    "examples",
    "tests",
];
/// One section of the list: its file, what its numbers begin with, and the numbers that it must have, from the first to the
/// last of each stretch.
type Section = (&'static str, &'static str, &'static [(u32, u32)]);

const SECTIONS: [Section; 16] = [
    ("rules", "rule ", &[(1, 10)]),
    (
        "runloop",
        "B",
        &[(1, 5), (10, 43), (50, 57), (60, 66), (70, 83)],
    ),
    ("timers", "C", &[(1, 20)]),
    ("sources", "S", &[(1, 6), (10, 16), (20, 26), (30, 30)]),
    ("sockets", "D", &[(1, 5), (10, 22), (30, 41), (50, 52)]),
    (
        "additions",
        "F",
        &[(1, 4), (10, 16), (20, 25), (30, 34), (40, 42), (50, 51)],
    ),
    (
        "ports",
        "A",
        &[
            (1, 6),
            (10, 23),
            (30, 35),
            (40, 45),
            (50, 65),
            (70, 84),
            (90, 110),
            (120, 126),
            (130, 133),
        ],
    ),
    ("complaints", "E", &[(1, 36)]),
    ("decisions", "G", &[(1, 12)]),
    ("decisions", "H", &[(1, 6)]),
    ("hazards", "L", &[(1, 38)]),
    ("hazards", "R", &[(1, 10)]),
    ("transport", "P", &[(1, 28)]),
    ("transport", "N", &[(1, 10)]),
    ("transport", "K", &[(1, 24)]),
    ("transport", "Q", &[(1, 14)]),
];
/// The letters of all numbers: those of the sections, and those of the sections that are to come.
const LETTERS: &str = "ABCDEFGHKLNPQRS";
/// What CFRunLoop.h declares, by what the names begin with.
const NAMES: [(&str, &str); 5] = [
    (
        "CFRunLoop",
        "Ref GetTypeID GetCurrent GetMain CopyCurrentMode CopyAllModes AddCommonMode GetNextTimerFireDate Run RunInMode \
         IsWaiting WakeUp Stop PerformBlock ContainsSource AddSource RemoveSource ContainsObserver AddObserver \
         RemoveObserver ContainsTimer AddTimer RemoveTimer Mode RunResult Activity",
    ),
    (
        "CFRunLoopSource",
        "Ref Context Context1 GetTypeID Create GetOrder Invalidate IsValid GetContext Signal",
    ),
    (
        "CFRunLoopObserver",
        "Ref CallBack Context GetTypeID Create CreateWithHandler GetActivities DoesRepeat GetOrder Invalidate IsValid \
         GetContext",
    ),
    (
        "CFRunLoopTimer",
        "Ref CallBack Context GetTypeID Create CreateWithHandler GetNextFireDate SetNextFireDate GetInterval DoesRepeat \
         GetOrder Invalidate IsValid GetContext GetTolerance SetTolerance",
    ),
    (
        "kCFRunLoop",
        "DefaultMode CommonModes RunFinished RunStopped RunTimedOut RunHandledSource Entry BeforeTimers BeforeSources \
         BeforeWaiting AfterWaiting Exit AllActivities",
    ),
];
/// What can stand behind an item.
const GROUNDS: [&str; 4] = ["Tests:", "Compile-fail:", "By type:", "No test:"];

fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the workspace").to_owned()
}

/// Every file below a directory whose name ends so, by its path from the root of the workspace, with its text.
fn files(below: &str, ending: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut left = vec![root().join(below)];
    while let Some(path) = left.pop() {
        if path.is_dir() && !path.ends_with("target") {
            let entries = fs::read_dir(&path).expect("a directory can be read");
            left.extend(entries.map(|entry| entry.expect("an entry can be read").path()));
        } else if path.to_str().is_some_and(|name| name.ends_with(ending)) {
            let name = path.strip_prefix(root()).expect("it is below the root");
            let text = fs::read_to_string(&path).expect("a text file can be read");
            found.insert(name.to_str().expect("a plain name").to_owned(), text);
        }
    }
    found
}

/// The bad ones, as a list that fails the test unless it is empty.
fn expect_none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

/// One item of the list.
struct Item {
    file: String,
    text: String,
}

impl Item {
    /// What stands behind one of the words of `GROUNDS`, up to the next of them.
    fn ground(&self, word: &str) -> Option<&str> {
        let (_, rest) = self.text.split_once(word)?;
        let ends = GROUNDS.iter().filter_map(|other| rest.find(other));
        Some(rest[..ends.min().unwrap_or(rest.len())].trim())
    }

    /// The names between backticks behind one of the words of `GROUNDS`.
    fn names(&self, word: &str) -> impl Iterator<Item = &str> {
        let ground = self.ground(word).unwrap_or_default();
        ground.split('`').skip(1).step_by(2)
    }
}

/// The list, by number.
fn list() -> BTreeMap<String, Item> {
    let mut found = BTreeMap::new();
    for (file, text) in files("tests/behaviours", ".md") {
        for item in text.split("\n- **").skip(1) {
            let (number, rest) = item.split_once(".**").expect("a number, and a full stop");
            let rest = rest.split("\n#").next().unwrap_or_default();
            let item = Item {
                file: file.clone(),
                text: rest.split_whitespace().collect::<Vec<_>>().join(" "),
            };
            let twice = found.insert(number.to_owned(), item).is_some();
            assert!(!twice, "{file}: {number} is there twice");
        }
    }
    found
}

/// The path by which the list names what is in a file of tests: as the test harness does, with the target's name in front.
fn place(package: &str, path: &str) -> Option<String> {
    let path = path.strip_prefix(package)?.strip_prefix('/')?;
    let path = path.strip_suffix(".rs")?;
    let path = match path.strip_prefix("src/") {
        Some("lib") => package.replace('-', "_"),
        Some(module) => format!("{}::{module}", package.replace('-', "_")),
        None => path.strip_prefix("tests/")?.to_owned(),
    };
    let path = path.replace('/', "::");
    Some(path.strip_suffix("::main").unwrap_or(&path).to_owned())
}

/// The word after `fn `, if the line begins a function.
fn function(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line = line.strip_prefix("pub(crate) ").unwrap_or(line);
    let name = line.strip_prefix("fn ")?.split('(').next()?;
    (!name.starts_with('$')).then_some(name)
}

/// The name of the test that a macro makes of this line: `name: of::what;` or `name Of What;`.
fn made(line: &str) -> Option<&str> {
    let (name, of) = line
        .strip_prefix("    ")?
        .strip_suffix(';')?
        .split_once(' ')?;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let kind = of.starts_with(char::is_uppercase);
    let name = if kind { name } else { name.strip_suffix(':')? };
    (!name.is_empty() && name.chars().all(plain)).then_some(name)
}

/// The names of the tests of one file, each with the module inside the file that it is in.
fn tests_of(text: &str) -> Vec<String> {
    let (mut found, mut module, mut marked) = (Vec::new(), String::new(), false);
    let without_harness = text.contains("\nfn main() {");
    let made_by_macro = text.contains("fn $name()");
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("mod ").and_then(|l| l.strip_suffix(" {")) {
            module = format!("{name}::");
        } else if line == "}" {
            module.clear();
        }
        if let Some(name) = function(line) {
            if std::mem::take(&mut marked) || (without_harness && !line.starts_with(' ')) {
                found.push(format!("{module}{name}"));
            }
        } else if let Some(name) = made(line).filter(|_| made_by_macro) {
            found.push(name.to_owned());
        }
        marked |= line.trim_start().starts_with("#[test]");
    }
    found
}

/// The paths of all tests there are.
fn all_tests() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for package in PACKAGES {
        for (path, text) in files(package, ".rs") {
            let Some(place) = place(package, &path) else {
                continue;
            };
            let tests = tests_of(&text).into_iter();
            found.extend(tests.map(|name| format!("{place}::{name}")));
        }
    }
    found
}

/// Whether a name of the list, in which one star may stand for anything, is that of a test.
fn exists(name: &str, tests: &BTreeSet<String>) -> bool {
    let Some((before, after)) = name.split_once('*') else {
        return tests.contains(name);
    };
    let fits = |test: &String| {
        let middle = test.strip_prefix(before);
        middle.is_some_and(|rest| rest.ends_with(after))
    };
    tests.iter().any(fits)
}

/// The numbers of the list that a text cites.
fn citations(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let cites = |word: &&str| {
        let mut characters = word.chars();
        let letter = characters.next().is_some_and(|c| LETTERS.contains(c));
        let number = characters.as_str();
        let number = number.strip_suffix('b').unwrap_or(number);
        let digits = number.bytes().all(|byte| byte.is_ascii_digit());
        letter && digits && (1..=3).contains(&number.len())
    };
    let lower = |word: &&str| word.starts_with(char::is_uppercase);
    words
        .filter(cites)
        .filter(lower)
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_test_that_the_list_names_exists() {
    let tests = all_tests();
    assert!(tests.len() > 400, "{} tests only", tests.len());
    let mut bad = Vec::new();
    for (number, item) in list() {
        for name in item.names("Tests:").filter(|name| !exists(name, &tests)) {
            bad.push(format!("{}: {number}: {name}", item.file));
        }
    }
    expect_none("there is no such test", &bad);
}

#[test]
fn every_example_that_the_compiler_refuses_is_where_the_list_says() {
    let mut bad = Vec::new();
    for (number, item) in list() {
        for name in item.names("Compile-fail:") {
            let text = fs::read_to_string(root().join(name)).unwrap_or_default();
            if !text.contains("```compile_fail") {
                bad.push(format!("{}: {number}: {name}", item.file));
            }
        }
    }
    expect_none("there is no such example", &bad);
}

#[test]
fn every_item_of_the_list_has_a_test_or_a_reason() {
    let mut bad = Vec::new();
    for (number, item) in list() {
        let named = ["Tests:", "Compile-fail:"].map(|word| item.names(word).count());
        let said = ["By type:", "No test:"].map(|word| item.ground(word).map_or(0, str::len));
        if named == [0, 0] && said.iter().all(|&length| length < 20) {
            bad.push(format!("{}: {number}", item.file));
        }
    }
    expect_none("nothing stands behind this", &bad);
}

#[test]
fn every_number_of_a_section_is_in_its_part_of_the_list() {
    let list = list();
    let mut bad = Vec::new();
    for (file, letter, stretches) in SECTIONS {
        for number in stretches.iter().flat_map(|&(first, last)| first..=last) {
            let name = format!("{letter}{number}");
            let path = format!("tests/behaviours/{file}.md");
            if list.get(&name).is_none_or(|item| item.file != path) {
                bad.push(format!("{path}: {name}"));
            }
        }
    }
    expect_none("this is missing", &bad);
}

#[test]
fn every_item_that_the_tree_cites_is_in_the_list() {
    let list = list();
    let mut bad = Vec::new();
    for package in PACKAGES {
        let sources = files(package, ".rs").into_iter();
        for (path, text) in sources.chain(files(package, "README.md")) {
            let cited = citations(&text).into_iter();
            bad.extend(
                cited
                    .filter(|number| !list.contains_key(number))
                    .map(|number| format!("{path} cites {number}")),
            );
        }
    }
    expect_none("the list does not have this", &bad);
}

#[test]
fn every_rule_has_the_tests_that_are_named_after_it() {
    let list = list();
    let mut bad = Vec::new();
    for test in all_tests() {
        let Some((_, rest)) = test.split_once("::rule_") else {
            continue;
        };
        let number = rest.split('_').next().unwrap_or_default();
        let item = list.get(&format!("rule {number}"));
        if !item.is_some_and(|item| item.names("Tests:").any(|name| name == test)) {
            bad.push(format!("rule {number}: {test}"));
        }
    }
    for number in 1..=10 {
        let item = &list[&format!("rule {number}")];
        let own = format!("::rule_{number}_");
        if !item.names("Tests:").any(|name| name.contains(&own)) {
            bad.push(format!("rule {number} has none"));
        }
    }
    expect_none("the rules and their tests", &bad);
}

#[test]
fn every_name_of_corefoundation_has_a_row_in_the_documentation() {
    let readme = |name: &str| fs::read_to_string(root().join(name).join("README.md"));
    let (front, timers) = (readme("runloop"), readme("timer-source"));
    let (front, timers) = (front.expect("it is there"), timers.expect("it is there"));
    let mut bad = Vec::new();
    for (prefix, names) in NAMES {
        for name in names.split_whitespace() {
            let name = format!("`{prefix}{name}`");
            let row = |text: &str| {
                text.lines()
                    .any(|l| l.starts_with('|') && l.contains(&name))
            };
            let timer = prefix == "CFRunLoopTimer" || name.ends_with("Timer`");
            if !row(&front) || (timer && !row(&timers)) {
                bad.push(name);
            }
        }
    }
    expect_none("no table says what stands for this", &bad);
}

#[test]
fn the_reading_of_tests_and_citations_sees_every_form() {
    let text = "mod tests {\n    #[test]\n    #[ignore]\n    fn one() {\n    }\n}\n#[test]\npub(crate) fn two() {\n}\nfn no_test() {\n}\n";
    assert_eq!(tests_of(text), ["tests::one", "two"], "in a module and not");
    let text = "#[test]\nfn $name() {\n}\nmade! {\n    one Kind;\n    two: of::three;\n}\n";
    assert_eq!(tests_of(text), ["one", "two"], "by a macro");
    let text = "//! It.\nfn main() {\n    it_is_called();\n}\nfn it_is_called() {\n}\n";
    assert_eq!(tests_of(text), ["main", "it_is_called"], "without harness");
    let cited: Vec<String> = citations("(B34, `L17`), C8; not x1, E_1, B1234 or RB1")
        .into_iter()
        .collect();
    assert_eq!(cited, ["B34", "C8", "L17"], "whole words only");
    let place = place("timer-source", "timer-source/src/grid/tests.rs");
    assert_eq!(
        place.as_deref(),
        Some("timer_source::grid::tests"),
        "a path"
    );
}
