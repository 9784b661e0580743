//! What the policy says for one entity and one wave: it is in the plan that people sign, and a run goes by that plan alone.

use crate::support::World;

/// The people of wave `migrate`, by the login that names their account.
fn migrating(world: &World) -> Vec<String> {
    let shown = world.run(&["--json", "plan", "show", "--wave", "migrate"]).expect(0).rows().remove(0);
    let lines = shown["wave"].as_array().unwrap().clone();
    let subjects = lines.iter().filter_map(|line| line["batch"]["subjects"].as_array()).flatten();
    let names = subjects.map(|subject| subject["independent_dn"].as_str().unwrap().to_owned());
    names.map(|dn| dn.strip_prefix("uid=").unwrap().split(',').next().unwrap().to_owned()).collect()
}

#[test]
fn a_wave_goes_by_the_words_of_its_plan_whatever_the_configuration_says_later() {
    let world = World::new(120);
    world.planned();
    let everybody = migrating(&world);
    assert!(everybody.len() > 10);

    // A pilot by list, with words of its own, of an entity with words of its own.
    let pilot: Vec<&String> = everybody.iter().filter(|login| !login.contains('\\')).take(3).collect();
    world.write("pilot.txt", format!("# the pilot\n{}\n{}\n{}\nnobody.at.all\n", pilot[0], pilot[1], pilot[2]));
    let words = "people_file = \"pilot.txt\"\ncanary_share_percent = 100.0\nmfa_exempt = [{ reason = \"in one room\" }]\n";
    world.configure("limit = 200\n", words);
    let usual = "[plan.credential]\n";
    world.configure(usual, &format!("[plan.entities.own]\ncredential = {{ scheme = \"ssha\", length = 32 }}\n\n{usual}"));
    let plan = world.planned();
    assert_eq!(migrating(&world).len(), 3);

    let prose = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown = prose(&world.run(&["plan", "show"]).expect(0).stdout);
    for words in [
        "takes migrate (person) of own, listed in 'pilot.txt'",
        "canary 100 % of it in order, then 0s before the others",
        "not asked of anybody: in one room",
    ] {
        assert!(shown.contains(words), "{words} is not in {shown}");
    }
    let shown = prose(&world.run(&["plan", "show", "--wave", "migrate"]).expect(0).stdout);
    assert!(shown.contains("credential 32 characters, ssha, to be changed"), "{shown}");
    let linted = world.run(&["plan", "lint"]).expect(0).stdout;
    assert!(linted.contains("migrate, own: 3 of the kind person need not pass gate mfa: in one room"), "{linted}");
    let report = world.run(&["--json", "plan", "show"]).expect(0).rows().remove(0)["report"].to_string();
    assert!(report.contains("1 of 4 lines of 'pilot.txt' (wave migrate) name no account of the shared store: nobody.at.all"));

    // Whatever is changed now counts from the next plan on.
    world.configure("length = 32", "length = 12");
    world.configure("mfa_exempt = [{ reason = \"in one room\" }]\n", "");
    std::fs::remove_file(world.directory().join("pilot.txt")).unwrap();
    let wave = format!("{plan}/migrate");
    world.approve(&wave, "switch", 1);
    world.go("migrate", &["--through", "enroll"]).expect(0);
    for person in world.handed_over(&format!("{wave}/b01")) {
        assert_eq!(person.secret.chars().filter(|c| *c != '-').count(), 32);
        let entry = world.dumps().independent(&person.account).unwrap().clone();
        assert!(entry.values("userPassword")[0].as_bytes().starts_with(b"{SSHA}"));
    }
    let gates = world.run(&["gate", "list", "--wave", &wave]).expect(0).stdout;
    assert_eq!(gates.matches("exempt — in one room (by plan").count(), 3, "{gates}");
    assert!(world.run(&["plan"]).expect(2).stderr.contains("the list of wave migrate, 'pilot.txt', cannot be read"));
}
