//! Any bytes as an export: what is read of it is written and read back equal, within the bounds, and the end is the end.

use untether_directory::ldif::{LdifLimits, LdifReader, Record, write_entry};
use untether_model::Entry;

/// Small bounds, so that inputs reach them.
const LIMITS: LdifLimits = LdifLimits { line_bytes: 2000, entry_bytes: 4000 };

/// Reads bytes as LDIF.
pub fn check(data: &[u8]) {
    let mut reader = LdifReader::with_limits(data, LIMITS);
    let mut read: Vec<Entry> = Vec::new();
    let mut last_line = 0;
    let mut refused = false;
    for record in reader.by_ref() {
        match record {
            Ok(Record::Entry { line, entry }) => {
                assert!(line > last_line, "lines go forward");
                last_line = line;
                let bytes: usize = entry.attrs.values().flatten().map(|value| value.as_bytes().len()).sum();
                assert!(bytes <= LIMITS.entry_bytes, "{bytes} bytes");
                read.push(entry);
            }
            Ok(Record::Reference { .. }) => {}
            Err(error) => {
                assert!(error.line >= last_line && !error.to_string().is_empty());
                refused = true;
            }
        }
    }
    assert!(reader.next().is_none(), "after the end nothing comes");
    assert_eq!(reader.trailer().entries_read, u64::try_from(read.len()).unwrap_or(u64::MAX));
    if !refused {
        // Says of itself what it says, without a panic.
        let _ = reader.trailer().truncation();
    }

    let mut written = Vec::new();
    for entry in &read {
        write_entry(&mut written, entry).unwrap_or_else(|error| panic!("what was read cannot be written: {error}"));
    }
    assert!(written.is_ascii());
    let back: Vec<Entry> = LdifReader::new(written.as_slice())
        .map(|record| match record.unwrap_or_else(|error| panic!("what was written cannot be read: {error}")) {
            Record::Entry { entry, .. } => entry,
            Record::Reference { url, .. } => panic!("a reference to {url} was written"),
        })
        .collect();
    assert_eq!(back, read);
    for (back, read) in back.iter().zip(&read) {
        assert_eq!(back.dn.as_str(), read.dn.as_str(), "the spelling is kept");
    }
}
