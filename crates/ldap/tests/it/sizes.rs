//! Large groups, large entries, full databases.

use untether_directory::{Failure, Read as _, Write as _, WriteOptions};
use untether_model::change::Change;
use untether_model::{Dn, Value};
use untether_testkit::lab::{Flavour, Role, Server};

use crate::world::*;

/// Which of many values a large group holds is answered without reading the group, and values are written by the thousand.
#[tokio::test]
async fn a_large_group_is_asked_and_changed_by_value() {
    let case = Case::new(Flavour::Shared, "large-group").await;
    let member = |n: usize| Value::from(case.base.child("uid", format!("member{n}")).as_str());
    let group = case.base.child("cn", "large");
    let mut attrs = attributes(&[("objectClass", &["groupOfNames"])]);
    attrs.insert("member".into(), (0..5_000).map(member).collect::<untether_model::Values>());
    case.wr.apply(&Change::Add { dn: group.clone(), attrs }, &WriteOptions::default()).await.unwrap();

    let asked: Vec<Value> = (4_400..5_600).map(member).collect();
    let present = case.reader.present(&group, &"member".into(), &asked).await.unwrap();
    assert_eq!(present, asked[..600]);
    // However a name is spelled, it is the same value; what was asked for is what is answered.
    let spelled = Value::from(member(17).as_str().unwrap().to_uppercase().replace(",", ", "));
    let present = case.reader.present(&group, &"member".into(), std::slice::from_ref(&spelled)).await.unwrap();
    assert_eq!(present, [spelled]);

    let gone: Vec<Value> = (1_000..2_000).map(member).collect();
    let mods = vec![untether_model::change::Modification::delete("member".into(), gone.clone())];
    case.wr.apply(&Change::Modify { dn: group.clone(), mods: mods.clone() }, &WriteOptions::default()).await.unwrap();
    assert!(case.reader.present(&group, &"member".into(), &gone).await.unwrap().is_empty());
    assert_eq!(
        said(&case.wr.apply(&Change::Modify { dn: group.clone(), mods }, &WriteOptions::default()).await),
        "16 ConditionFailed"
    );

    let missing = case.reader.present(&case.name("none"), &"member".into(), &[member(1)]).await.unwrap_err();
    assert_eq!(missing.failure, Failure::NoSuchObject);
}

/// An entry of hundreds of kilobytes goes there and back, bytes unchanged.
#[tokio::test]
async fn large_binary_values_survive() {
    let case = Case::new(Flavour::Shared, "large-entry").await;
    let dn = case.account("a", &[]).await;
    let photo: Vec<u8> = (0..300_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mods = vec![untether_model::change::Modification::replace("jpegPhoto".into(), vec![Value::new(photo.clone())])];
    case.wr.apply(&Change::Modify { dn: dn.clone(), mods }, &WriteOptions::default()).await.unwrap();
    let read = case.reader.read(&dn, &names(&["jpegPhoto"])).await.unwrap().unwrap();
    assert_eq!(read.values("jpegPhoto")[0].as_bytes(), photo);
    let present =
        case.reader.present(&dn, &"jpegPhoto".into(), &[Value::new(photo.clone()), Value::from("other")]).await.unwrap();
    assert_eq!(present, [Value::new(photo)]);
}

/// A full database answers 80: refused, nothing changed, and the hint names the setting.
#[tokio::test]
async fn a_full_database_is_refused_with_the_setting_to_change() {
    let directory = tempfile::tempdir().unwrap();
    let number = Flavour::Shared.next_database();
    let suffix = "dc=small,dc=example";
    let server = Server::builder(Flavour::Shared)
        .config_entry(format!(
            "dn: olcDatabase={{{number}}}mdb,cn=config\nobjectClass: olcDatabaseConfig\nobjectClass: olcMdbConfig\n\
             olcDatabase: {{{number}}}mdb\nolcSuffix: {suffix}\nolcDbDirectory: {}\nolcDbEnvFlags: nosync\n\
             olcAccess: {{0}}to * by dn.exact=\"{}\" manage by * none\n",
            directory.path().display(),
            Role::Undo.dn(Flavour::Shared.suffix()),
        ))
        .start()
        .unwrap();
    let manager = client(&server, Role::Undo);
    let base: Dn = dn(suffix);
    let large = "x".repeat(200_000);
    let mut refused = None;
    let mut name = base.clone();
    let mut attrs = attributes(&[("objectClass", &["dcObject", "organization"]), ("dc", &["small"]), ("o", &["small"])]);
    for n in 0..100 {
        match manager.apply(&Change::Add { dn: name, attrs }, &WriteOptions::default()).await {
            Ok(_) => {}
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
        name = base.child("cn", format!("e{n}"));
        attrs = attributes(&[("objectClass", &["device"]), ("cn", &[&format!("e{n}")]), ("description", &[&large])]);
    }
    let refused = refused.unwrap();
    assert_eq!((refused.failure, refused.code), (Failure::Refused, Some(80)), "{refused}");
    assert!(refused.to_string().contains("olcDbMaxSize"), "{refused}");
    assert!(manager.read(refused.dn.as_ref().unwrap(), &[]).await.unwrap().is_none());
}
