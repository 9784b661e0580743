//! Compares, listed values and filters, by the rules that attributes compare by.

use untether_directory::Scope;
use untether_testkit::lab::Flavour;

use super::both::*;
use crate::world::*;

#[tokio::test]
async fn values_and_filters() {
    let mut both = Both::new(Flavour::Independent, "c-reads").await;
    both.add(Wr, "ou=unit", &[("objectClass", &["organizationalUnit"])]).await;
    both.person("a", &[("mail", &["Taro@X.example"]), ("title", &["Chief  Clerk"]), ("telephoneNumber", &["+81 3-1234"])]).await;
    both.person("b", &[("description", &["a)(b=*\\", "\u{5c71}\u{7530}"]), ("userPassword", &[HASH_A]), ("jpegPhoto", &["p"])])
        .await;
    let a = both.named("uid=a");
    both.person("c", &[("manager", &[&a]), ("employeeNumber", &["007"]), ("pwdAccountLockedTime", &[LOCK])]).await;
    for (relative, attr, value) in [
        ("uid=a", "mail", "taro@x.EXAMPLE"),
        ("uid=a", "mail", "jiro@x.example"),
        ("uid=a", "title", "chief clerk"),
        ("uid=a", "title", " CHIEF   clerk "),
        ("uid=a", "telephoneNumber", "+8131234"),
        ("uid=a", "description", "nothing"),
        ("uid=a", "uid", "A"),
        ("uid=b", "description", "\u{5c71}\u{7530}"),
        ("uid=b", "jpegPhoto", "p"),
        ("uid=c", "manager", &a.to_uppercase()),
        ("uid=c", "manager", &a.replace(",", " , ")),
        ("uid=c", "employeeNumber", "7"),
        ("uid=c", "objectClass", "INETORGPERSON"),
        ("uid=c", "pwdAccountLockedTime", LOCK),
        ("uid=nobody", "mail", "x"),
    ] {
        both.value(relative, attr, value).await;
    }
    let mut hits = 0;
    for filter in [
        "(objectClass=*)",
        "(objectClass=person)",
        "(objectClass=inetorgperson)",
        "(objectClass=top)",
        "(!(objectClass=person))",
        "(uid=A)",
        "(cn=*)",
        "(mail=TARO@x.example)",
        "(mail=taro*)",
        "(mail=*x.EX*)",
        "(title=chief clerk)",
        "(title=*clerk)",
        "(telephoneNumber=+8131234)",
        "(description=a\\29\\28b=\\2a\\5c)",
        "(description=\u{5c71}*)",
        "(jpegPhoto=*)",
        "(!(jpegPhoto=*))",
        "(unheardOf=*)",
        "(!(unheardOf=*))",
        "(unheardOf=x)",
        "(!(unheardOf=x))",
        "(|(unheardOf=x)(uid=a))",
        "(&(uid=*)(!(manager=*)))",
        "(employeeNumber>=006)",
        "(employeeNumber<=006)",
        "(pwdAccountLockedTime=000001010000Z)",
        "(pwdAccountLockedTime=*)",
        "(userPassword=*)",
        "(memberOf=*)",
        "(ou=unit)",
        "(sn;lang-ja=*)",
        "(&)",
        "(|)",
        "(entryDN=x)",
    ] {
        for scope in [Scope::Base, Scope::One, Scope::Subtree] {
            hits += both.search(scope, filter).await;
        }
    }
    let manager = format!("(manager={})", a.to_uppercase());
    hits += both.search(Scope::Subtree, &manager).await;
    assert!(hits > 40, "{hits} entries were found");
    both.done(100);
}
