# Joins a roster and two exports by employee number: who has an account where, and whose account should be gone.
#
#   awk -f join.awk roster.csv shared.ldif independent.ldif
#
# What people write today in place of a tool, and correct: `ldapsearch` prints a comment before each page even with -LLL, an entry may
# come in any order of attributes, a number may be in Base64 (those are told, not joined). Lines must not be folded (-o ldif-wrap=no).
FNR == 1 { file++ }
file == 1 {
    if (FNR > 1) {
        # No quoted field comes before these columns.
        split($0, column, ",")
        status[column[2]] = column[9]
    }
    next
}
/^#/ { next }
/^dn:/ { entries[file]++; has_number = 0; next }
/^employeeNumber: / {
    number = substr($0, 17)
    has_number = 1
    held[file, number] = 1
    numbers[number] = 1
    next
}
/^employeeNumber:: / { encoded++ }
END {
    for (number in numbers) {
        shared = (2, number) in held
        own = (3, number) in held
        if (shared && own) both++
        else if (shared) only_shared++
        else only_own++
        if (!(number in status)) unknown++
        else if (shared && status[number] == "departed") residual++
    }
    printf "%d shared, %d independent, %d in both, %d only shared, %d only independent, %d residual, %d without a row, %d encoded\n",
        entries[2], entries[3], both, only_shared, only_own, residual, unknown, encoded
}
