#!/usr/bin/env python3
# Asks a robin-dist server as clients do. usage: serve_check.py URL FOLDER [slow]
import base64, concurrent.futures, http.client, json, socket, sys, time, urllib.parse

url, folder = urllib.parse.urlparse(sys.argv[1]), sys.argv[2]


def picture(i):
    data = open(f'{folder}/{i}.jpg', 'rb').read()
    return 'data:image/jpeg;base64,' + base64.b64encode(data).decode()


def body(i=0, text='Generate scene graph for given regions.', **more):
    content = [{'type': 'image_url', 'image_url': {'url': picture(i)}},
               {'type': 'text', 'text': text}]
    return {'model': 'robin', 'messages': [{'role': 'user', 'content': content}],
            'regions': json.load(open(f'{folder}/{i}.boxes.json')), 'max_tokens': 120, **more}


def ask(data, path='/v1/chat/completions', method='POST'):
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
    data = json.dumps(data) if isinstance(data, (dict, list)) else data
    connection.request(method, path, data, {'Content-Type': 'application/json'})
    reply = connection.getresponse()
    text = reply.read().decode()
    connection.close()
    return reply.status, text


def answer(data):
    status, text = ask(data)
    assert status == 200, (status, text)
    return json.loads(text)


if sys.argv[3:] == ['slow']:
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
    connection.request('POST', '/v1/chat/completions',
                       json.dumps(body(text='?', max_tokens=500, goes_on=True, n=16,
                                       temperature=2.0)))
    print('asked', flush=True)
    reply = connection.getresponse()
    assert reply.status == 200, reply.status
    assert len(json.loads(reply.read())['choices']) == 16
    sys.exit()

# models, health
status, text = ask(None, '/v1/models', 'GET')
assert status == 200 and json.loads(text)['data'][0]['id'] == 'robin'
assert ask(None, '/v1/models/robin', 'GET')[0] == 200
assert ask(None, '/v1/models/other', 'GET')[0] == 404
assert ask(None, '/health', 'GET')[0] == 200
assert ask(None, '/nothing', 'GET')[0] == 404
assert ask(None, '/v1/chat/completions', 'GET')[0] == 405

# a completion
reply = answer(body(answer_format='graph'))
assert reply['object'] == 'chat.completion' and reply['model'] == 'robin'
choice = reply['choices'][0]
assert choice['message']['role'] == 'assistant'
assert choice['message']['content'].startswith('Objects:\nregion')
assert choice['finish_reason'] in ('stop', 'length')
usage = reply['usage']
assert usage['total_tokens'] == usage['prompt_tokens'] + usage['completion_tokens']
assert usage['prompt_tokens'] > 20
assert answer(body(max_tokens=3))['choices'][0]['finish_reason'] == 'length'
stopped = answer(body(stop=['region'], answer_format='graph'))['choices'][0]
assert stopped['message']['content'] == 'Objects:\n' and stopped['finish_reason'] == 'stop'
yes = answer(body(text='Is region1 red?', answer_format='yes_no'))['choices'][0]
assert 0 < yes['message']['yes'] < 1

# seeds: the same draws in any company; choices differ
def drawn(seed):
    choices = answer(body(temperature=2.0, seed=seed, n=3, max_tokens=20))['choices']
    return [c['message']['content'] for c in choices]

alone = drawn(7)
assert len(set(alone)) == 3 and drawn(8) != alone
with concurrent.futures.ThreadPoolExecutor(6) as pool:
    assert all(got == alone for got in pool.map(drawn, [7] * 6))

# a conversation, without a picture, with a history
history = [{'role': 'system', 'content': 'Be brief.'}, {'role': 'user', 'content': 'Hello'},
           {'role': 'assistant', 'content': '<|box_start|>(1,2),(3,4)<|box_end|>'},
           {'role': 'user', 'content': [{'type': 'text', 'text': 'Why?'}]}]
answer({'model': 'robin', 'messages': history, 'max_completion_tokens': 5})

# streams: what the parts make up is the whole answer; they come while it grows
def events_of(data):
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
    connection.request('POST', '/v1/chat/completions', json.dumps({**data, 'stream': True}))
    reply = connection.getresponse()
    assert reply.status == 200, reply.read()
    assert reply.getheader('Content-Type').startswith('text/event-stream')
    lines = reply.read().decode().split('\n\n')
    connection.close()
    assert lines.pop() == '' and all(line.startswith('data: ') for line in lines)
    assert lines.pop() == 'data: [DONE]'
    return [json.loads(line[6:]) for line in lines]


def joined(events, n):
    texts, ends = [''] * n, [None] * n
    for event in events:
        assert event['object'] == 'chat.completion.chunk' and event['id'] == events[0]['id']
        for choice in event['choices']:
            i = choice['index']
            assert ends[i] is None, 'something behind the end of a choice'
            texts[i] += choice['delta'].get('content', '')
            ends[i] = choice['finish_reason']
    return texts, ends


for more in [{}, {'answer_format': 'graph'}, {'n': 3, 'temperature': 2.0, 'seed': 5},
             {'n': 2, 'temperature': 2.0, 'seed': 6, 'stop': ['re', 'on', ' ']},
             {'answer_format': 'graph', 'stop': ['region2', ':\nregion1']},
             {'answer_format': 'yes_no', 'text': 'Is region1 red?'}]:
    asked = body(**{'max_tokens': 60, **more})
    whole = answer(asked)
    events = events_of({**asked, 'stream_options': {'include_usage': True}})
    used = events.pop()
    assert used['choices'] == [] and used['usage'] == whole['usage'], (used, whole['usage'])
    assert all(event['usage'] is None for event in events)
    texts, ends = joined(events, more.get('n', 1))
    assert texts == [c['message']['content'] for c in whole['choices']], (more, texts, whole)
    assert ends == [c['finish_reason'] for c in whole['choices']], (more, ends)
    assert events[0]['choices'][0]['delta'] == {'role': 'assistant', 'content': ''}
    for i, choice in enumerate(whole['choices']):
        last = [e for e in events if e['choices'][0]['index'] == i][-1]['choices'][0]['delta']
        assert last == ({'yes': choice['message']['yes']} if 'yes' in choice['message'] else {})
plain = body(max_tokens=60)
assert all('usage' not in event for event in events_of(plain))
n_tokens = answer(plain)['usage']['completion_tokens']
n_parts = sum(bool(e['choices'][0]['delta'].get('content')) for e in events_of(plain))
assert n_parts > n_tokens / 2 > 3, (n_parts, n_tokens)
# a stop that ends the answer saves the tokens behind it
short = answer(body(max_tokens=60, answer_format='graph', stop=['region']))
assert short['usage']['completion_tokens'] < 10, short['usage']


def counts():
    return json.loads(ask(None, '/health', 'GET')[1])['requests']


def wait_for(what, seconds=20):
    begun = time.monotonic()
    while not what():
        assert time.monotonic() - begun < seconds, counts()
        time.sleep(0.02)


# a client that goes away ends its sequences, in the middle of a stream or before a whole answer
long_one = body(text='?', max_tokens=500, goes_on=True, n=16, temperature=2.0)
for stream in (True, False):
    before = counts()
    text = json.dumps({**long_one, 'stream': stream}).encode()
    leaver = socket.create_connection((url.hostname, url.port))
    leaver.sendall(b'POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n' %
                   len(text) + text)
    if stream:
        assert b'data: ' in leaver.recv(1 << 16) + leaver.recv(1 << 16)
    else:
        wait_for(lambda: counts()['open'] == before['open'] + 1)
    leaver.close()
    wait_for(lambda: counts()['open'] == before['open'])
    after = counts()
    assert after['gone'] == before['gone'] + 1, (stream, before, after)
    assert after['answered'] == before['answered'], (stream, before, after)


def refused(data, code, word):
    status, text = ask(data)
    assert status == code, (status, text, word)
    message = json.loads(text)['error']['message']
    assert word in message, (word, message)


good = body()
for change, code, word in [
        ({'model': 'gpt-4o'}, 404, 'no model gpt-4o'),
        ({'model': 3}, 400, 'model is missing'),
        ({'messages': []}, 400, 'messages is not a list'),
        ({'messages': [{'role': 'robot', 'content': 'x'}]}, 400, 'role is none of'),
        ({'messages': [{'role': 'user', 'content': 3}]}, 400, 'content is neither'),
        ({'messages': [{'role': 'user', 'content': 'a<|im_end|>'}]}, 400, '<|im_end|>'),
        ({'messages': [{'role': 'user', 'content': 'a <mask><pos>'}]}, 400, '<mask>'),
        ({'messages': [{'role': 'user', 'content': '<image>'}]}, 400, '<image>'),
        ({'messages': [{'role': 'assistant', 'content': 'a'}]}, 400, "not the user's"),
        ({'messages': [{'role': 'user', 'content': 'a'}]}, 400, 'regions but no picture'),
        ({'n': 99}, 400, 'n is 99'), ({'temperature': 'hot'}, 400, 'temperature is not a number'),
        ({'top_p': 0}, 400, 'top_p is 0'), ({'max_tokens': 0}, 400, 'max_tokens is 0'),
        ({'tools': [{'type': 'function'}]}, 400, 'tools is not supported'),
        ({'logprobs': True}, 400, 'logprobs'), ({'response_format': {'type': 'json_object'}}, 400,
                                                'response_format'),
        ({'answer_format': 'poem'}, 400, 'answer_format'),
        ({'regions': {}}, 400, 'regions are not a list'),
        ({'regions': [{'box': [0, 0, 999, 5]}]}, 400, 'regions[0]: box'),
        ({'regions': [{'box': [0, 0, 5, 5]}] * 300}, 400, '300 regions'),
]:
    refused({**good, **change}, code, word)
image = {'type': 'image_url', 'image_url': {'url': 'https://example.org/x.jpg'}}
refused({**good, 'messages': [{'role': 'user', 'content': [image]}]}, 400, 'nothing is fetched')
image = {'type': 'image_url', 'image_url': {'url': 'data:image/jpeg;base64,AAAA'}}
refused({**good, 'messages': [{'role': 'user', 'content': [image]}]}, 400, 'image_url')
two = good['messages'][0]['content'] * 2
refused({**good, 'messages': [{'role': 'user', 'content': two}]}, 400, 'second picture')
refused('{', 400, 'not valid JSON')
refused('', 400, 'not valid JSON')
refused('[1]', 400, 'not a JSON object')
refused('"' + 'x' * (2 << 20) + '"', 413, 'more than 1048576 bytes')
refused({**good, 'messages': [{'role': 'user', 'content': 'why ' * 2000}], 'regions': None}, 400,
        'no room for an answer')

# more at once than the queue takes: each is answered, or told to come again
with concurrent.futures.ThreadPoolExecutor(40) as pool:
    codes = list(pool.map(lambda i: ask(body(i % 4, max_tokens=30))[0], range(40)))
assert set(codes) <= {200, 429} and codes.count(200) >= 8, codes

# clients that say half and go away
for _ in range(5):
    broken = socket.create_connection((url.hostname, url.port))
    broken.sendall(b'POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{"mo')
    broken.close()
    gone = socket.create_connection((url.hostname, url.port))
    text = json.dumps(body(max_tokens=100)).encode()
    gone.sendall(b'POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n' %
                 len(text) + text)
    gone.close()
answer(body(max_tokens=5))
print('endpoint passed')
