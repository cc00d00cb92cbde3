//! Tests of `names`.

use super::*;
use meridian_base::BackupId;
use proptest::prelude::*;

fn names() -> impl Strategy<Value = ObjectName> {
    (0..6u8, any::<[u64; 3]>(), any::<u32>()).prop_map(|(kind, n, small)| {
        let (partition, position) = (PartitionId(n[0]), Position(n[1]));
        match kind {
            0 => ObjectName::Key { number: small },
            1 => ObjectName::Meta { at_ms: n[1] },
            2 => {
                let (first, last) =
                    (Position(n[1].min(n[2]).max(1)), Position(n[1].max(n[2]).max(1)));
                ObjectName::Log { partition, first, last }
            }
            3 => ObjectName::BaseChunk { partition, position, chunk: small },
            4 => ObjectName::BaseEnd { partition, position },
            _ => ObjectName::Watermark { partition },
        }
    })
}

#[test]
fn names_are_as_documented() {
    let (partition, position) = (PartitionId(16), Position(40));
    for (name, text) in [
        (ObjectName::Key { number: 1 }, "keys/0000000001"),
        (ObjectName::Meta { at_ms: 5 }, "meta/00000000000000000005"),
        (
            ObjectName::Log { partition, first: Position(9), last: position },
            "p16/log/00000000000000000009-00000000000000000040",
        ),
        (
            ObjectName::BaseChunk { partition, position, chunk: 3 },
            "p16/base/00000000000000000040/000003",
        ),
        (ObjectName::BaseEnd { partition, position }, "p16/base/00000000000000000040/end"),
        (ObjectName::Watermark { partition }, "p16/watermark"),
    ] {
        assert_eq!(name.to_string(), text);
        assert_eq!(ObjectName::parse(text), Some(name));
        let of = name.partition().map(ObjectName::partition_prefix);
        assert!(of.is_none_or(|prefix| prefix == "p16/" && text.starts_with(&prefix)));
    }
}

#[test]
fn other_names_are_nothing() {
    let at = "00000000000000000040";
    for text in [
        "",
        "keys/1",
        "keys/+000000001",
        "keys/00000000001",
        "keys/4294967296",
        "keys/0000000001/",
        "/keys/0000000001",
        "meta/5",
        "p/watermark",
        "p016/watermark",
        "16/watermark",
        "p16/watermark.tmp",
        "p16/base/40/end",
        &format!("p16/base/{at}/End"),
        &format!("p16/base/{at}/3"),
        &format!("p16/log/{at}"),
        &format!("p16/log/{at}-00000000000000000039"),
        "p16/log/00000000000000000000-00000000000000000039",
    ] {
        assert_eq!(ObjectName::parse(text), None, "{text}");
    }
}

#[test]
fn prefixes_are_read_back() {
    let prefix = |subject| Prefix { cluster: "shop".into(), region: "eu-1".into(), subject };
    let backup = prefix(Subject::Backup(BackupId(7)));
    assert_eq!(Prefix::parse(&backup.to_string()), Some(backup.clone()));
    assert_eq!(backup.to_string(), "shop/eu-1/backups/7");
    let prefix = prefix(Subject::Table(TableId(1234)));
    assert_eq!(prefix.to_string(), "shop/eu-1/tables/1234");
    assert_eq!(Prefix::parse("shop/eu-1/tables/1234"), Some(prefix.clone()));
    for text in ["shop/eu-1/tables/01", "shop//tables/1", "shop/eu-1/table/1", "a/b/tables/1/", ""]
    {
        assert_eq!(Prefix::parse(text), None, "{text}");
    }
    let name = ObjectName::Watermark { partition: PartitionId(16) };
    assert_eq!(prefix.object(&name), "shop/eu-1/tables/1234/p16/watermark");
    assert_eq!(prefix.parse_object("shop/eu-1/tables/1234/p16/watermark"), Some(name));
    // Of a table whose number goes on.
    assert_eq!(prefix.parse_object("shop/eu-1/tables/12345/p16/watermark"), None);
}

proptest! {
    #[test]
    fn names_round_trip(name in names()) {
        prop_assert_eq!(ObjectName::parse(&name.to_string()), Some(name));
    }

    #[test]
    fn no_text_is_read_as_what_is_called_otherwise(
        text: String,
        name in names(),
        at: prop::sample::Index,
    ) {
        let mut changed = name.to_string();
        let at = at.index(changed.len());
        changed.replace_range(at..=at, text.get(..1).unwrap_or_default());
        for text in [text, changed] {
            prop_assert!(ObjectName::parse(&text).is_none_or(|name| name.to_string() == text));
        }
    }

    #[test]
    fn segments_are_listed_in_order(a: [u64; 2], b: [u64; 2]) {
        let name = |n: [u64; 2]| {
            let (first, last) = (Position(n[0]), Position(n[1]));
            ObjectName::Log { partition: PartitionId(16), first, last }
        };
        prop_assert_eq!(name(a).to_string().cmp(&name(b).to_string()), a.cmp(&b));
    }
}
