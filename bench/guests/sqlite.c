/* SQLite on a database in memory: inserts, indexes, range selects, joins, grouping,
 * updates and deletes. */
#include "../programs/bench.h"
#include "sqlite3.h"

static sqlite3 *db;

static void check(int code, int wanted, const char *what)
{
    if (code != wanted) {
        fprintf(stderr, "sqlite: %s: %s\n", what, sqlite3_errmsg(db));
        exit(1);
    }
}

static void run(const char *sql) { check(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, sql); }

/* Runs a query and mixes every column of every row into the sum. */
static uint64_t query(const char *sql, uint64_t sum)
{
    sqlite3_stmt *statement;
    check(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK, sql);
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW)
        for (int i = 0; i < sqlite3_column_count(statement); i++)
            sum = mix(sum, (uint64_t)sqlite3_column_int64(statement, i) + (uint64_t)sqlite3_column_bytes(statement, i));
    check(code, SQLITE_DONE, sql);
    sqlite3_finalize(statement);
    return sum;
}

int main(int argc, char **argv)
{
    unsigned long units = bench_units(argc, argv, 10);
    struct rng rng = {101};
    uint64_t sum = 1;
    for (unsigned long u = 0; u < units; bench_tick(++u, 1)) {
        check(sqlite3_open(":memory:", &db), SQLITE_OK, "open");
        run("create table person(id integer primary key, name text, town int, age int, pay real);"
            "create table town(id integer primary key, name text);"
            "create index person_town on person(town); create index person_name on person(name);"
            "begin");
        sqlite3_stmt *insert;
        check(sqlite3_prepare_v2(db, "insert into person(name, town, age, pay) values(?, ?, ?, ?)", -1, &insert, NULL), SQLITE_OK, "prepare");
        for (int i = 0; i < 4000; i++) {
            char name[32];
            snprintf(name, sizeof name, "name%u", (unsigned)rng_below(&rng, 100000));
            sqlite3_bind_text(insert, 1, name, -1, SQLITE_TRANSIENT);
            sqlite3_bind_int(insert, 2, (int)rng_below(&rng, 50));
            sqlite3_bind_int(insert, 3, (int)rng_below(&rng, 90));
            sqlite3_bind_double(insert, 4, rng_below(&rng, 1000000) / 100.0);
            check(sqlite3_step(insert), SQLITE_DONE, "insert");
            sqlite3_reset(insert);
        }
        sqlite3_finalize(insert);
        run("insert into town select distinct town, 'town ' || town from person; commit");
        sum = query("select count(*), sum(age), cast(sum(pay) as int) from person where age between 20 and 60", sum);
        sum = query("select t.name, count(*), avg(p.age), max(p.name) from person p join town t on t.id = p.town group by t.id order by 2 desc, 1", sum);
        sum = query("select id, name from person where name between 'name3' and 'name5' order by name limit 500", sum);
        sum = query("select a.id, b.id from person a join person b on a.name = b.name and a.id < b.id order by 1, 2", sum);
        sum = query("select name, upper(substr(name, 2, 4)), length(name) from person where name like '%77%' or pay > 9900", sum);
        run("update person set age = age + 1, pay = pay * 1.01 where town < 20; delete from person where id % 5 = 0");
        sum = query("with recursive n(i) as (select 1 union all select i + 1 from n where i < 2000) select sum(i * i % 97), count(*) from n", sum);
        sum = query("select town, age / 10, count(*) from person group by 1, 2 having count(*) > 3 order by 1, 2", sum);
        sqlite3_close(db);
    }
    return bench_done("sqlite", sum);
}
