#!/usr/bin/env python3
# Asks a robin-dist server as clients do. usage: serve_check.py URL FOLDER [slow]
import base64, concurrent.futures, http.client, json, socket, sys, urllib.parse

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

# a stream
status, text = ask(body(stream=True, stream_options={'include_usage': True}, max_tokens=5))
events = [line[6:] for line in text.split('\n\n') if line]
assert status == 200 and events[-1] == '[DONE]'
events = [json.loads(event) for event in events[:-1]]
assert events[0]['choices'][0]['delta']['content'] and events[-1]['usage']['completion_tokens'] == 5
assert events[1]['choices'][0]['finish_reason'] == 'length'


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
