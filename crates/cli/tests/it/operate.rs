//! Operators at work on a wave.

use crate::support::World;

#[test]
fn scratch() {
    let world = World::new(80);
    let plan = world.planned();
    println!("{}", world.run(&["plan", "show"]).said());
    println!("{}", world.run(&["--json", "plan", "show", "--wave", "retire"]).said().chars().take(6000).collect::<String>());
    println!("{}", world.go("retire", &[]).said());
    world.approve(&format!("{plan}/retire"), "soak", 1);
    println!("{}", world.go("retire", &[]).said());
    println!("{}", world.run(&["status"]).said());
    println!("{}", world.run(&["--json", "status"]).said());
}
