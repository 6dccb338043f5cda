/* Is it true of the picture? A statement "<p>car</p> behind <p>suitcase</p>" as a question. */
#include <stdlib.h>
#include <string.h>

#include "corpus/task_parts.h"

struct statement { /* to free(): subject, relation, object */
    char *subject, *relation, *object;
};

static void statement_release(struct statement *statement)
{
    free(statement->subject);
    free(statement->relation);
    free(statement->object);
}

static char *between(const char *begin, const char *end)
{
    char *text = text_copy(begin);
    text[end - begin] = '\0';
    return text;
}

/* "<p>S</p> R <p>O</p>" to the last byte. */
static enum status read_statement(struct statement *out, const char *text)
{
    enum status status = OK;
    const char *first = text + strlen("<p>");
    const char *first_end = strncmp(text, "<p>", 3) == 0 ? strstr(first, "</p> ") : NULL;
    const char *relation = first_end ? first_end + strlen("</p> ") : NULL;
    const char *relation_end = relation ? strstr(relation, " <p>") : NULL;
    const char *second = relation_end ? relation_end + strlen(" <p>") : NULL;
    const char *second_end = second ? strstr(second, "</p>") : NULL;
    if (second_end == NULL || second_end[strlen("</p>")] != '\0' || relation == relation_end)
        FAIL(ERR_FORMAT,
             "the statement \"%s\" does not read <p>subject</p> relation "
             "<p>object</p>; correct the record",
             text);
    *out = (struct statement){.subject = between(first, first_end),
                              .relation = between(relation, relation_end),
                              .object = between(second, second_end)};
out:
    return status;
}

static int64_t count_words(const char *text, const char *word)
{
    int64_t n = 0;
    const size_t size = strlen(word);
    while (*(text += strspn(text, " ")) != '\0') {
        const size_t length = strcspn(text, " ");
        n += length == size && strncmp(text, word, size) == 0;
        text += length;
    }
    return n;
}

/* The release: "is" once in the caption, or else a verb without its last s; "part of" where one has
 * the other as a part. */
static void write_as_released(struct text_buffer *out, const struct statement *s,
                              const char *caption)
{
    const size_t size = strlen(s->relation);
    if (strcmp(s->relation, "has as a part") == 0)
        text_printf(out, "Is the %s part of the %s?", s->subject, s->object);
    else if (count_words(caption, "is") == 1)
        text_printf(out, "Is the %s %s the %s?", s->subject, s->relation, s->object);
    else
        text_printf(out, "Does the %s %.*s the %s?", s->subject,
                    (int)(s->relation[size - 1] == 's' ? size - 1 : size), s->relation, s->object);
}

/* A third person that a question turns into an infinitive; others are said with "is". */
static const char *infinitive(const char *relation)
{
    static const struct {
        const char *third, *infinitive;
    } verbs[] = {
        {"contains", "contain"},   {"consists of", "consist of"},
        {"covers", "cover"},       {"touches", "touch"},
        {"faces", "face"},         {"connects", "connect"},
        {"holds", "hold"},         {"supports", "support"},
        {"surrounds", "surround"}, {"carries", "carry"},
        {"includes", "include"},   {"overlaps", "overlap"},
    };
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(relation, verbs[i].third) == 0) return verbs[i].infinitive;
    return NULL;
}

static void write_question(struct text_buffer *out, const struct statement *s)
{
    const char *verb = infinitive(s->relation);
    if (strcmp(s->relation, "has as a part") == 0)
        text_printf(out, "Does the %s have the %s as a part?", s->subject, s->object);
    else if (verb != NULL)
        text_printf(out, "Does the %s %s the %s?", s->subject, verb, s->object);
    else
        text_printf(out, "Is the %s %s the %s?", s->subject, s->relation, s->object);
}

static enum status make_statement(struct task_sample *sample, const struct record *record,
                                  const struct task_options *options, struct task_draws *draws)
{
    enum status status = OK;
    struct text_buffer question = {0};
    struct statement statement = {0};
    struct task_turn *turns;
    const int64_t n = task_turns(&turns, record, "statement", TURNS_IN_ORDER, draws);
    for (int64_t i = 0; i < n && i < options->max_turns; i++) {
        const char *caption = turns[i].text->origin ? turns[i].text->origin : "";
        text_clear(&question);
        statement_release(&statement);
        statement = (struct statement){0};
        TRY(read_statement(&statement, turns[i].turn->question));
        if (options->compat.statement_wording)
            write_as_released(&question, &statement, caption);
        else
            write_question(&question, &statement);
        text_append(&question, " " PROMPT_YES_OR_NO);
        TRY(task_ask(sample, record, options, draws, question.text));
        task_answer(sample, turns[i].turn->answer);
    }
    if (n == 0) task_skip(sample, "no statement");
out:
    free(turns);
    statement_release(&statement);
    text_release(&question);
    return status;
}

const struct task task_statement = {
    .name = "statement",
    .purpose = "whether a relation of two things of the picture holds; yes or no",
    .max_regions = 1,
    .max_turns = 10,
    .make = make_statement,
};
