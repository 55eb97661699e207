using System.Buffers;
using Orleans.Serialization.Buffers;
using Orleans.Serialization.Codecs;
using Orleans.Serialization.WireProtocol;

namespace IommuFd.Grains.Encoding;

/// <summary>Writes columns as what they are, bytes, without asking whether the same was written before.</summary>
[RegisterSerializer]
internal sealed class NumberColumnCodec : IFieldCodec<NumberColumn>
{
    public void WriteField<TBufferWriter>(ref Writer<TBufferWriter> writer, uint fieldIdDelta, Type? expectedType, NumberColumn value)
        where TBufferWriter : IBufferWriter<byte>
    {
        ReferenceCodec.MarkValueField(writer.Session);
        writer.WriteFieldHeader(fieldIdDelta, expectedType, typeof(NumberColumn), WireType.LengthPrefixed);
        writer.WriteVarUInt32((uint)(value.Bytes?.Length ?? 0));
        writer.Write(value.Bytes);
    }

    public NumberColumn ReadValue<TInput>(ref Reader<TInput> reader, Field field)
    {
        ReferenceCodec.MarkValueField(reader.Session);
        field.EnsureWireType(WireType.LengthPrefixed);
        var length = reader.ReadVarUInt32();
        return length == 0 ? default : new NumberColumn(reader.ReadBytes(length));
    }
}
