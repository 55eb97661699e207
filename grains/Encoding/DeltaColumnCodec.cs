using System.Buffers;
using Orleans.Serialization.Buffers;
using Orleans.Serialization.Codecs;
using Orleans.Serialization.WireProtocol;

namespace IommuFd.Grains.Encoding;

/// <summary>Serializes columns as plain bytes, without looking up whether the same column was written before.</summary>
[RegisterSerializer]
internal sealed class DeltaColumnCodec : IFieldCodec<DeltaColumn>
{
    public void WriteField<TBufferWriter>(ref Writer<TBufferWriter> writer, uint fieldIdDelta, Type? expectedType, DeltaColumn value)
        where TBufferWriter : IBufferWriter<byte>
    {
        ReferenceCodec.MarkValueField(writer.Session);
        writer.WriteFieldHeader(fieldIdDelta, expectedType, typeof(DeltaColumn), WireType.LengthPrefixed);
        writer.WriteVarUInt32((uint)(value.Bytes?.Length ?? 0));
        writer.Write(value.Bytes);
    }

    public DeltaColumn ReadValue<TInput>(ref Reader<TInput> reader, Field field)
    {
        ReferenceCodec.MarkValueField(reader.Session);
        field.EnsureWireType(WireType.LengthPrefixed);
        var length = reader.ReadVarUInt32();
        return length == 0 ? default : new DeltaColumn(reader.ReadBytes(length));
    }
}
