//! A wave of the track `migrate` on real servers: every stage, and back.

use crate::support::World;

#[test]
fn people_move_and_come_back() {
    let world = World::new(120);
    let before = world.dumps();
    let plan = world.planned();
    let wave = format!("{plan}/migrate");
    world.approve(&wave, "soak", 1);

    let ran = world.go("migrate", &["--through", "provision"]).expect(0);
    println!("{}", ran.said());
    let ran = world.go("migrate", &[]);
    println!("{:?} {}", ran.code, ran.said());
    let handed = world.handed_over(&format!("{wave}/b01"));
    println!("{handed:?}");
    let _ = before;
}
