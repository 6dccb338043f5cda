/* The chat template on the small vocabulary: what is learnt, where the picture goes. Equality with
 * the reference: the golden family chat. */
#include "text/chat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/text_buffer.h"
#include "text/prompts.h"

static struct tokenizer *tokenizer;

static int open_tokenizer(void **state)
{
    (void)state;
    return tokenizer_open(&tokenizer, "tests/data/tokenizer_small") == OK ? 0 : -1;
}

static int close_tokenizer(void **state)
{
    (void)state;
    tokenizer_close(tokenizer);
    return 0;
}

static struct conversation example(void)
{
    struct conversation conversation = {0};
    conversation_add(&conversation, CHAT_USER, "<image>\nregion1 <mask><pos> is?");
    conversation_add(&conversation, CHAT_ASSISTANT, "a circle");
    return conversation;
}

/* The labels of all targets as text. */
static void assert_learnt(const struct conversation *conversation, bool unmask, const char *want)
{
    struct token_list ids = {0}, labels = {0};
    struct text_buffer text = {0};
    const struct chat_options options = {.unmask_template_tokens = unmask};
    assert_int_equal(chat_encode_training(tokenizer, conversation, &options, &ids, &labels), OK);
    assert_int_equal(ids.n, labels.n);
    for (int64_t i = 0; i < ids.n; i++) {
        if (labels.ids[i] == IGNORE_LABEL) continue;
        assert_int_equal(labels.ids[i], ids.ids[i]);
        tokenizer_decode(tokenizer, &labels.ids[i], 1, false, &text);
    }
    assert_string_equal(text_of(&text), want);
    token_list_release(&ids);
    token_list_release(&labels);
    text_release(&text);
}

static void what_is_learnt(void **state)
{
    (void)state;
    struct conversation conversation = example();
    assert_learnt(&conversation, false, "<|im_start|>assistant\na circle<|im_end|>\n");
    assert_learnt(&conversation, true,
                  "<|im_start|>\n<|im_end|>\n<|im_start|>\n\n<|im_end|>\n"
                  "<|im_start|>assistant\na circle<|im_end|>\n");
    conversation_add_named(&conversation, "tool", "42");
    assert_learnt(&conversation, false,
                  "<|im_start|>assistant\na circle<|im_end|>\n<|im_start|>tool\n42<|im_end|>\n");
    conversation_release(&conversation);
}

static void picture_and_regions(void **state)
{
    (void)state;
    struct conversation conversation = example();
    struct token_list ids = {0}, labels = {0};
    struct chat_options options = {0};
    assert_int_equal(chat_encode_training(tokenizer, &conversation, &options, &ids, &labels), OK);
    int64_t images = 0, masks = 0;
    for (int64_t i = 0; i < ids.n; i++) {
        images += ids.ids[i] == IMAGE_TOKEN_ID;
        if (ids.ids[i] != tokenizer_id(tokenizer, "<mask>")) continue;
        masks++;
        assert_int_equal(ids.ids[i + 1], tokenizer_id(tokenizer, "<pos>"));
    }
    assert_int_equal(images, 1);
    assert_int_equal(masks, 1);
    ids.n = labels.n = 0;
    options.image_as_text = true;
    assert_int_equal(chat_encode_training(tokenizer, &conversation, &options, &ids, &labels), OK);
    for (int64_t i = 0; i < ids.n; i++) assert_true(ids.ids[i] != IMAGE_TOKEN_ID);
    token_list_release(&ids);
    token_list_release(&labels);
    conversation_release(&conversation);
}

static void images_move_to_the_front(void **state)
{
    (void)state;
    static const char *const texts[][2] = {{"a <image> b<image>", "<image>\na  b"},
                                           {"<image>", "<image>"},
                                           {" no picture ", " no picture "},
                                           {"<image>\n \xe3\x80\x80x\x1c ", "<image>\nx"}};
    for (size_t i = 0; i < 4; i++) {
        struct conversation conversation = {0};
        conversation_add(&conversation, CHAT_USER, texts[i][0]);
        conversation_place_images(&conversation, "<image>");
        assert_string_equal(conversation.turns[0].text, texts[i][1]);
        conversation_release(&conversation);
    }
}

static void turns_that_come_first(void **state)
{
    (void)state;
    struct conversation conversation = {0};
    struct token_list ids = {0}, labels = {0};
    const struct chat_options options = {0};
    conversation_add(&conversation, CHAT_ASSISTANT, "dropped");
    conversation_add(&conversation, CHAT_USER, "q");
    conversation_add(&conversation, CHAT_ASSISTANT, "a");
    assert_learnt(&conversation, false, "<|im_start|>assistant\na<|im_end|>\n");
    conversation_release(&conversation);
    conversation_add(&conversation, CHAT_SYSTEM, "be brief");
    assert_int_equal(chat_encode_training(tokenizer, &conversation, &options, &ids, &labels),
                     ERR_FORMAT);
    conversation_release(&conversation);
    token_list_release(&ids);
    token_list_release(&labels);
}

/* The prompt is the training text up to the answer. */
static void prompt_is_how_training_begins(void **state)
{
    (void)state;
    struct conversation whole = example(), question = {0};
    struct token_list ids = {0}, labels = {0}, prompt = {0};
    const struct chat_options options = {0};
    conversation_add(&question, CHAT_USER, whole.turns[0].text);
    assert_int_equal(chat_encode_training(tokenizer, &whole, &options, &ids, &labels), OK);
    assert_int_equal(chat_encode_prompt(tokenizer, &question, &prompt), OK);
    assert_true(prompt.n < ids.n);
    assert_memory_equal(prompt.ids, ids.ids, (size_t)prompt.n * sizeof *prompt.ids);
    token_list_release(&ids);
    token_list_release(&labels);
    token_list_release(&prompt);
    conversation_release(&whole);
    conversation_release(&question);
}

static void first_messages(void **state)
{
    (void)state;
    struct text_buffer text = {0};
    const struct box boxes[] = {{0, 0, 5, 10}, {-1, 2, 30, 4}};
    const struct box_format clip = {0}, keep = {.bounds = BOX_BOUNDS_KEEP};
    struct region_list list = {.n = 2, .boxes = boxes, .width = 10, .height = 10, .format = &clip};
    assert_int_equal(prompt_first_message(&text, &list, 2, "Q", false), OK);
    assert_string_equal(text.text,
                        "<image>\nThis provides an overview of the picture.\nThe image contains 2 "
                        "regions, including region1 <mask><pos> <|box_start|>(0,0),(500,1000)"
                        "<|box_end|>, region2 <mask><pos> <|box_start|>(0,200),(1000,400)"
                        "<|box_end|>.\nQ");
    text_clear(&text);
    list.format = &keep;
    list.n = 1;
    assert_int_equal(prompt_first_message(&text, &list, 0, "Q", true), OK);
    assert_non_null(strstr(text.text, "There are 1 regions in the image: region1 "));
    assert_non_null(strstr(text.text, ".\n Q"));
    text_clear(&text);
    assert_int_equal(prompt_first_message(&text, NULL, 0, "Q", true), OK);
    assert_string_equal(text.text, "<image>\nThis provides an overview of the picture.\nThere is "
                                   "region1 <mask><pos> in the image.\nQ");
    text_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_learnt),
        cmocka_unit_test(picture_and_regions),
        cmocka_unit_test(images_move_to_the_front),
        cmocka_unit_test(turns_that_come_first),
        cmocka_unit_test(prompt_is_how_training_begins),
        cmocka_unit_test(first_messages),
    };
    return cmocka_run_group_tests(tests, open_tokenizer, close_tokenizer);
}
