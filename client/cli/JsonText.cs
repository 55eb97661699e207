using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using IommuFd.GrainInterfaces;

namespace IommuFd.Cli;

/// <summary>Writes a service's answers as JSON. Ids are plain numbers, and object states have the fields of their own kind.</summary>
internal static class JsonText
{
    private static readonly JsonSerializerOptions Options = new()
    {
        WriteIndented = true,
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        Converters =
        {
            new JsonStringEnumConverter(),
            new WriteAs<ObjectId>(id => id.Value),
            new WriteAs<ReferenceId>(id => id.Value),
            new WriteAs<HoldId>(id => id.Value),
            new WriteAs<ContextTag>(tag => tag.ToString()),
            new WriteAs<ObjectState>(state => state),
        },
    };

    public static void Write<T>(T value) => Terminal.Document(JsonSerializer.Serialize(value, Options));

    /// <summary>One object in one line.</summary>
    /// <param name="write">Writes its fields.</param>
    public static string Line(Action<Utf8JsonWriter> write)
    {
        using var bytes = new MemoryStream();
        using (var json = new Utf8JsonWriter(bytes))
        {
            json.WriteStartObject();
            write(json);
            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(bytes.GetBuffer(), 0, (int)bytes.Length);
    }

    private sealed class WriteAs<T>(Func<T, object> convert) : JsonConverter<T>
    {
        public override T Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => throw new NotSupportedException();

        public override void Write(Utf8JsonWriter writer, T value, JsonSerializerOptions options)
            => JsonSerializer.Serialize(writer, convert(value), convert(value).GetType(), options);
    }
}
