namespace IommuFd.GrainInterfaces;

/// <summary>What an object's own grain knows of it. Each kind of object has its record.</summary>
[GenerateSerializer, Immutable, Alias("IommuFd.ObjectState")]
public abstract record ObjectState;
