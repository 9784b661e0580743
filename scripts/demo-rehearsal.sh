# The demo's story on twins (scripts/demo --rehearse). Sourced by scripts/demo, whose helpers it uses; not run.

# narrow: results within the width of a terminal, without what chapter 3 has said of exports.
narrow() {
    sed '/cannot be run/d' | fold -s -w 78
}

chapter "Two exports and an HR roster, $people people" <<'T'
"shared" is the directory that the other company runs and that we leave; "independent" is our own, half-way filled. Here they are
LDIF exports, as their administrators would hand them over; the data are generated. No server is needed, and none could be changed:
what follows are the commands of real work, and where something would be written, twins in memory take the stores' place.
T
rm -rf "$demo"
mkdir -p "$demo"
show "lab exports --people $people --dir .demo-rehearsal"
lab exports --people "$people" --dir "$demo"
cd "$demo"
export UNTETHER_CONFIG=$demo/untether.toml

chapter "What stands in the way? (audit)" <<'T'
Both exports and the roster are read. An export holds neither the server's schema nor its cn=config, and what cannot be known from
it is a finding of its own: "coverage.skipped".
T
try 0 "untether init"
try 0 "untether audit 2>/dev/null | fold -s -w 78"
try 0 "untether findings --format csv | cut -d, -f2,3 | sort | uniq -c | sort -rn | sed -n 1,8p"
subject=$(untether findings --rule residual.departed --store shared --entity own --json |
    sed -n 's/.*"subject":"\([^"]*\)".*/\1/p' | sed -n 1p)

chapter "What will be done, and what not? (plan)" <<'T'
The plan holds every single operation with what it expects to find and how it is undone. A plan from an export can be reviewed,
approved and rehearsed; it cannot be run, because nobody can say what the server looks like by now.
T
try 0 "untether plan | tee plan.txt | cut -c1-78 | sed -n 1,12p"
plan=$(sed -n 's/^plan \([0-9a-z]*\) .*/\1/p' plan.txt)
try 0 "untether plan show | cut -c1-78 | sed -n '1,2p;7,16p'"
try 0 "untether subject show $subject | cut -c1-78 | sed -n 1,9p"

chapter "A wave that retires leavers (rehearse)" <<'T'
The wave goes through the same engine, journal, gates and conditions as a run, on twins that behave as OpenLDAP does. It tells what
would be done, what a store would refuse, how long it takes at a given rate with all waits, and what the stores are like afterwards;
and it names every gate that it had to assume.
T
try 0 "untether rehearse --wave retire --rate 20 2>progress.txt | narrow"
show "cut -c1-78 progress.txt    # the lines that a run shows too; on a terminal, bars"
cut -c1-78 progress.txt

chapter "People move, and the power goes out again and again (rehearse --cut-every)" <<'T'
Now the wave that moves people, once as planned, and once more with the power going out after every 40 operations, in turn before and
after an intent, after an effect of which nobody has heard, before an outcome. Each time only what was durable is left, and the next
process takes it up: what was under way is looked at first. Both ends must be the same.
T
try 0 "untether rehearse --wave migrate --through soak --cut-every 40 >rehearsal.txt 2>progress.txt"
show "grep 'power' progress.txt; narrow <rehearsal.txt"
grep 'power' progress.txt
narrow <rehearsal.txt | sed '/^assumed:/,$d'
grep -q 'both stores end as without any cut' rehearsal.txt || fail "the end is another; see $demo/rehearsal.txt"

chapter "Three in the morning: one batch back (rehearse --roll-back)" <<'T'
Somebody of batch b02 cannot work. What would its rollback give back, and what not? To the state before "provision": the people have
their login in the shared store back, and the entries that were made for them stay, locked.
T
try 0 "untether rehearse --wave migrate --through soak --roll-back migrate/b02 --to provision 2>/dev/null | grep -A5 '^rolled back' | narrow"

chapter "Somebody answers for it (approve)" <<'T'
The whole plan, and then people may sign: an SSH signature over the plan's digest. Whoever approves is told whether the plan has
been rehearsed, and with how many refusals.
T
try 0 "untether rehearse 2>/dev/null | sed -n 1p | narrow"
try 0 "untether plan approve --wave retire --through soak --as approver-a --key people/approver-a --reason 'leavers checked with HR' 2>&1 | narrow"
explain <<'T'
Running it is refused all the same, and nothing is changed: this plan was made from exports.
T
try 2 "untether run --wave retire --execute"

chapter "What would we tell the management, and the regulator? (rehearse --report)" <<'T'
The report as it would be after the plan, computed from the rehearsal's own ledger, in English and in Japanese, and marked as what it
is.
T
try 0 "untether rehearse --report en 2>/dev/null >en.txt; sed -n '/A rehearsal/,\$p' en.txt | fold -s -w 78 | sed -n 1,40p"
try 0 "untether rehearse --report ja 2>/dev/null >ja.txt; sed -n '/予行演習/,\$p' ja.txt | sed -n 1,36p"
try 0 "untether state check | cut -c1-78"

printf '\n%sDone in %d s.%s Nothing runs. Next, for example:\n\n' "$bold" "$((SECONDS - started))" "$plain"
cat <<T
  export PATH=$target/release:\$PATH
  cd $demo
  untether rehearse --json | python3 -m json.tool | less
  untether plan show --not-planned
  untether findings --explain residual.departed

scripts/demo shows the same on two real servers, with processes that are really killed.
T
