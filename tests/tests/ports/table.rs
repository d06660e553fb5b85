//! The table of `CFMessagePort` in the documentation: it has a row for every name, and tests for every row.

use std::fs::read_to_string;
use std::path::Path;

/// What CFMessagePort.h declares.
const NAMES: &str = "CFMessagePortCreateLocal CFMessagePortCreateRemote CFMessagePortCreateRunLoopSource \
    CFMessagePortSetInvalidationCallBack CFMessagePortSetName CFMessagePortInvalidate CFMessagePortSendRequest \
    CFMessagePortSetDispatchQueue CFMessagePortGetContext CFMessagePortGetInvalidationCallBack CFMessagePortGetName \
    CFMessagePortIsRemote CFMessagePortIsValid CFMessagePortGetTypeID CFMessagePortCallBack \
    CFMessagePortInvalidationCallBack CFMessagePortContext kCFMessagePortSuccess kCFMessagePortSendTimeout \
    kCFMessagePortReceiveTimeout kCFMessagePortIsInvalid kCFMessagePortTransportError kCFMessagePortBecameInvalidError";

#[test]
fn every_name_of_cfmessageport_has_a_row_and_every_row_has_tests() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = read_to_string(tests.join("../messageport/README.md")).unwrap();
    let (_, table) = readme.split_once("| CoreFoundation | here |").unwrap();
    let rows: Vec<Vec<_>> = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split(" | ").collect())
        .collect();
    for name in NAMES.split_whitespace() {
        let quoted = format!("`{name}`");
        assert!(rows.iter().any(|row| row[0].contains(&quoted)), "{name}");
    }
    for row in &rows {
        let [name, .., by] = &row[..] else {
            panic!("{row:?}");
        };
        if by.trim() == "by the compiler" {
            continue;
        }
        let modules: Vec<_> = by.split('`').skip(1).step_by(2).collect();
        assert!(!modules.is_empty(), "{name} has no tests");
        for module in modules {
            let file = tests.join("tests/ports").join(module).with_extension("rs");
            let text = read_to_string(&file).unwrap_or_default();
            assert!(text.contains("#[test]"), "{name} is tested in {module}");
        }
    }
}
