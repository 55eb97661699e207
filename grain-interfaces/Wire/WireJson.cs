using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;

namespace IommuFd.GrainInterfaces.Wire;

/// <summary>The contracts' messages as JSON, for those requests of the protocol that are rare or have many forms.</summary>
internal static class WireJson
{
    private const string Prefix = "IommuFd.";

    private static readonly JsonSerializerOptions Options = new()
    {
        IgnoreReadOnlyProperties = true,
        Converters = { new NewFileConverter() },
        TypeInfoResolver = new DefaultJsonTypeInfoResolver { Modifiers = { NameForms } },
    };

    public static byte[] Write<T>(T value) => JsonSerializer.SerializeToUtf8Bytes(value, Options);

    /// <exception cref="FrameException">The bytes are no such message.</exception>
    public static T Read<T>(ReadOnlySpan<byte> json)
    {
        try
        {
            return JsonSerializer.Deserialize<T>(json, Options) ?? throw FrameException.Malformed("a message is null");
        }
        catch (Exception exception) when (exception is JsonException or NotSupportedException or ArgumentException or InvalidOperationException or OverflowException)
        {
            throw FrameException.Malformed($"a message is no {typeof(T).Name}: {exception.Message}");
        }
    }

    // A message with several forms says which it is by the alias of its type.
    private static void NameForms(JsonTypeInfo type)
    {
        if (!type.Type.IsAbstract || type.Type.Assembly != typeof(WireJson).Assembly)
        {
            return;
        }

        type.PolymorphismOptions = new JsonPolymorphismOptions { TypeDiscriminatorPropertyName = "$form" };
        foreach (var form in type.Type.Assembly.GetTypes().Where(form => form.BaseType == type.Type))
        {
            var alias = (AliasAttribute)Attribute.GetCustomAttribute(form, typeof(AliasAttribute), inherit: false)!;
            type.PolymorphismOptions.DerivedTypes.Add(new(form, alias.Alias[Prefix.Length..]));
        }
    }

    // A new file is what it leads to, or a dma-buf.
    private sealed class NewFileConverter : JsonConverter<NewFile>
    {
        public override NewFile Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
        {
            var form = JsonSerializer.Deserialize<Form>(ref reader, options);
            return form?.Target is { } target ? new NewFile(form.Offset, target)
                : form?.DmaBuf is { DmaBuf: not null } dmaBuf ? new NewFile(dmaBuf)
                : throw new JsonException("A new file leads nowhere.");
        }

        public override void Write(Utf8JsonWriter writer, NewFile value, JsonSerializerOptions options)
            => JsonSerializer.Serialize(writer, new Form(value.Offset, value.File.Target, value.File.DmaBuf is null ? null : value.File), options);

        private sealed record Form(int Offset, FileTarget? Target, UserFile? DmaBuf);
    }
}
