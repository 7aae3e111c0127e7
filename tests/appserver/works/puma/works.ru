# The works in Rack: map takes the prefix from the path and puts it into SCRIPT_NAME.
require 'digest'
require 'rack'

class Works
  NAMES = ['one', 'two words', 'café'].freeze
  HTML = { 'Content-Type' => 'text/html; charset=utf-8' }.freeze
  TEXT = { 'Content-Type' => 'text/plain; charset=utf-8' }.freeze

  # What reads the gate, a FIFO, when the client has seen the first piece.
  class Stream
    def each
      yield "first\n"
      File.read('gate')
      yield "second\n"
    end
  end

  # A file in pieces; Content-Length says how many bytes.
  class Pieces
    def each
      File.open('download.bin', 'rb') do |file|
        while (piece = file.read(65_536))
          yield piece
        end
      end
    end
  end

  def call(env)
    request = Rack::Request.new(env)
    root = request.script_name
    case path = request.path_info
    when '', '/'
      links = NAMES.map { |name| %(<a href="#{root}/page/#{Rack::Utils.escape_path(name)}">#{name}</a>) }
      [200, HTML, ["<h1>index</h1>#{links.join}"]]
    when %r{\A/page/(.+)\z}
      name = Rack::Utils.unescape_path(Regexp.last_match(1)).force_encoding('UTF-8')
      [200, HTML, [%(<h1>#{name}</h1><a href="#{root}/">index</a>)]]
    when '/form'
      [200, TEXT, ["name=#{request.POST['name']}\ntext=#{request.POST['text']}\n"]]
    when '/upload'
      digest = Digest::SHA256.new
      length = 0
      while (piece = request.body.read(65_536))
        digest << piece
        length += piece.bytesize
      end
      [200, TEXT, ["#{length} #{digest.hexdigest}\n"]]
    when '/download'
      fields = { 'Content-Type' => 'application/octet-stream', 'Content-Length' => File.size('download.bin').to_s }
      [200, fields, Pieces.new]
    when '/stream'
      [200, TEXT.dup, Stream.new]
    when '/cookies'
      response = Rack::Response.new([env['HTTP_COOKIE'].to_s], 200, TEXT)
      response.set_cookie('first', '1')
      response.set_cookie('second', '2')
      response.finish
    when '/redirect/path'
      [302, { 'Location' => "#{root}/page/one" }, []]
    when '/redirect/url'
      [302, { 'Location' => "#{request.base_url}#{root}/page/one" }, []]
    when '/echo'
      length = request.body.read.bytesize
      [200, TEXT, ["token=#{request.GET['token']} pid=#{Process.pid} body=#{length} wrong=-1\n"]]
    else
      [404, TEXT, ["there is no #{path}\n"]]
    end
  end
end

map '/cgi-bin/works.cgi' do
  run Works.new
end
